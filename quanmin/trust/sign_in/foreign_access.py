"""Access tokens of another issuer, shown to the records (RFC 9068): they speak for an account of
this node, through a client that is registered here, and never for more than both may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.base.problems import GrantRefused, Problem, TokenRefused
from quanmin.trust.actors import Bearing
from quanmin.trust.scopes import Scopes, parse_scopes
from quanmin.trust.sign_in.foreign_tokens import check_subject
from quanmin.trust.sign_in.server import grantable

if TYPE_CHECKING:
    from quanmin.trust.sign_in.external import External
    from quanmin.trust.sign_in.server import AuthorizationServer

_SECOND: Final = 1_000_000


class ForeignAccess:
    """Tells for whom an access token of the other issuer speaks."""

    def __init__(self, external: External, server: AuthorizationServer) -> None:
        self._external = external
        self._server = server

    async def bearing(self, token: str) -> Bearing:
        """Whom a token speaks for. Raises TokenRefused, also when the issuer's keys cannot be had.

        A `patient/` scope is left out: nobody has chosen the patient. An account that acts in
        several posts is not spoken for: the token does not say in which.
        """
        settings = self._external.settings
        try:
            claims = await self._external.prove(
                token, settings.api_audience, tuple(settings.api_types.split())
            )
        except TokenRefused:
            raise
        except Problem as problem:
            raise TokenRefused(problem.text) from problem
        until = self._checked(claims)
        # RFC 9068 calls it client_id; some issuers, Keycloak among them, say `azp` alone.
        named = claims.get("client_id", claims.get("azp"))
        client = await self._server.clients.find(named) if isinstance(named, str) else None
        if client is None:
            raise TokenRefused("client_id of the token is no application registered here")
        account = await self._external.account_of(claims["sub"])
        actors = (
            ()
            if account is None
            else await self._server.actors.of_account(account, self._server.now())
        )
        if len(actors) != 1:
            raise TokenRefused("the subject of the token is nobody who acts here in one post")
        scopes = grantable(_asked(claims).of_contexts({"user"}), client, actors[0])
        actor = msgspec.structs.replace(
            actors[0], client=client.code, scopes=Scopes(scopes.reaches)
        )
        return Bearing(actor, int(until * _SECOND))

    def _checked(self, claims: dict[str, Any]) -> float:
        settings = self._external.settings
        check_subject(claims)
        audience = claims["aud"]
        several = audience if isinstance(audience, list) else [audience]
        if settings.client_id in several:
            # An id token is for the node as an application, an access token for its records.
            raise TokenRefused("this token is for signing in, not for the records")
        # A program cannot be asked for the node's own second factor, as a browser can.
        if not self._external.has_second_factor(claims):
            raise TokenRefused(
                "neither acr nor amr of the token has a value of `external.second_factors`: nothing"
                " says that its subject has proved a second factor (RFC 9068 section 2.2.1)"
            )
        if claims["exp"] - claims["iat"] > settings.api_seconds_max:
            raise TokenRefused(f"a token may be good for {settings.api_seconds_max} seconds")
        return float(claims["exp"])


def _asked(claims: dict[str, Any]) -> Scopes:
    scope = claims.get("scope", "")
    try:
        if isinstance(scope, str):
            return parse_scopes(scope)
    except GrantRefused as problem:
        raise TokenRefused(problem.text) from problem
    raise TokenRefused("scope of the token is no text (RFC 9068 section 2.2.3)")
