"""The limits of the authorization server, each a setting of the node."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class OAuthLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Applications: where the authorization server stands, and how long what it gives is good."""

    issuer: Annotated[
        str,
        Meta(
            description="The address under which applications know this node, such as "
            "`https://health.example.org`; empty: that of `node.base_url`, else this machine's own "
            "with its port. Clients sign their assertions for it, so it never follows from a "
            "request.",
            pattern=r"^(https?://[^\s/?#]+)?$",
        ),
    ] = ""
    key_origins: Annotated[
        str,
        Meta(
            description="Where the public keys of clients may be fetched from: addresses such as "
            "`https://app.example`, parted by spaces; empty: keys are kept with the client only.",
            pattern=r"^( *(https://[A-Za-z0-9.:\-]+|http://(localhost|127\.0\.0\.1)(:\d+)?) *)*$",
        ),
    ] = ""
    page_origins: Annotated[
        str,
        Meta(
            description="Which pages may ask for tokens and records from a browser (CORS): the "
            "origins of applications that run there alone, such as `https://app.example`, parted "
            "by spaces; empty: none. Where the server is and what it can do, all may ask.",
            pattern=r"^( *(https://[A-Za-z0-9.:\-]+|http://(localhost|127\.0\.0\.1)(:\d+)?) *)*$",
        ),
    ] = ""
    key_seconds_max: Annotated[
        int,
        Meta(
            description="How long keys that were fetched are believed at most; less where their "
            "answer says so.",
            ge=1,
        ),
    ] = 300
    key_bytes_max: Annotated[
        int, Meta(description="The largest set of keys of a client.", ge=256)
    ] = 65536
    system_seconds_max: Annotated[
        int,
        Meta(description="How long an access token of a backend service works.", ge=10, le=300),
    ] = 300
    access_seconds_max: Annotated[
        int, Meta(description="How long an access token of a person's application works.", ge=10)
    ] = 900
    id_token_key_days_max: Annotated[
        int,
        Meta(
            description="How long a key signs id tokens before another takes its place. "
            "`quanmin keys replace-id-token-key` replaces it at once.",
            ge=1,
        ),
    ] = 90
    refresh_days_max: Annotated[
        int,
        Meta(
            description="How long an application that may go on without its person can renew its "
            "tokens; each renewal begins it anew.",
            ge=1,
        ),
    ] = 90
    online_hours_max: Annotated[
        int,
        Meta(
            description="How long an application can renew its tokens while its person is there.",
            ge=1,
        ),
    ] = 12
    code_seconds_max: Annotated[
        int, Meta(description="How long an authorization code works.", ge=1, le=600)
    ] = 60
    launch_seconds_max: Annotated[
        int, Meta(description="How long a launch that was registered waits.", ge=1)
    ] = 300
    assertion_seconds_max: Annotated[
        int,
        Meta(description="How far off the end of a client's assertion may be.", ge=10, le=300),
    ] = 300
    assertion_bytes_max: Annotated[
        int, Meta(description="The longest assertion of a client.", ge=1024)
    ] = 16384
    skew_seconds_max: Annotated[
        int,
        Meta(description="How far the clocks of clients may be from the node's.", ge=0, le=120),
    ] = 10
    form_bytes_max: Annotated[
        int, Meta(description="The largest form at the token endpoint.", ge=1024)
    ] = 65536
