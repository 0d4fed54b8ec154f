"""The HTTP side of the authorization server: `/oauth/*` and what `/.well-known/*` tells of it."""

from quanmin.api.oauth.endpoints import OAuth

__all__ = ["OAuth"]
