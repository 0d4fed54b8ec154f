"""The settings of another issuer: people sign in by it, and the records may take its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

_ORIGIN: Final = r"(https://[A-Za-z0-9.:\-]+|http://(localhost|127\.0\.0\.1)(:\d+)?)"


class ExternalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another issuer by which people may sign in: a Keycloak, or any provider of OpenID Connect."""

    issuer: Annotated[
        str,
        Meta(
            description="Its address, letter by letter as its tokens name it, such as "
            "`https://login.example.org/realms/health`; empty: there is none.",
            pattern=rf"^({_ORIGIN}(/[^\s?#]*)?)?$",
        ),
    ] = ""
    origins: Annotated[
        str,
        Meta(
            description="Where else its endpoints and keys may be, such as "
            "`https://keys.example.org`, parted by spaces; empty: at the issuer's own origin only.",
            pattern=rf"^( *{_ORIGIN} *)*$",
        ),
    ] = ""
    client_id: Annotated[
        str,
        Meta(
            description="What this node is called there. Register "
            "`<sign_in.origin>/sign-in/external/back` for it.",
            max_length=255,
            min_length=0,
        ),
    ] = ""
    client_secret_file: Annotated[
        Path | None,
        Meta(
            description="A file with the secret of this node there, which only the node's user can "
            "read; it is read for every sign-in. Nothing: a public client, with PKCE alone."
        ),
    ] = None
    certificates: Annotated[
        Path | None,
        Meta(
            description="A file of authorities that its certificate is checked by; nothing: the "
            "machine's."
        ),
    ] = None
    title_zh: Annotated[
        str, Meta(description="What it is called on Chinese pages.", min_length=1, max_length=60)
    ] = "统一身份认证"
    title_en: Annotated[
        str, Meta(description="What it is called on English pages.", min_length=1, max_length=60)
    ] = "single sign-on"
    scopes: Annotated[
        str, Meta(description="What is asked for there.", pattern=r"^openid( [!-~]+)*$")
    ] = "openid"
    algorithms: Annotated[
        str,
        Meta(
            description="By what its tokens may be signed; public keys only.",
            pattern=r"^(RS|PS|ES)(256|384|512)( (RS|PS|ES)(256|384|512))*$",
        ),
    ] = "RS256 PS256 ES256"
    account_claim: Annotated[
        str,
        Meta(
            description="The claim of an id token that names an account of this node, such as "
            "`preferred_username`: at the first sign-in it chooses the account, which from then on "
            "is that subject's. Never an administrator's. Empty: by `quanmin account link` only.",
            pattern=r"^[A-Za-z0-9_.:/\-]{0,100}$",
        ),
    ] = ""
    document_claim: Annotated[
        str,
        Meta(
            description="The claim that tells the number of the person's identity document, by "
            "which their account is chosen in the same way. Empty: none.",
            pattern=r"^[A-Za-z0-9_.:/\-]{0,100}$",
        ),
    ] = ""
    second_factors: Annotated[
        str,
        Meta(
            description="Values of `acr` or `amr` that count as a second factor, such as "
            "`mfa otp hwk`, parted by spaces; empty: the node asks for its own, and takes no "
            "access tokens of it.",
            pattern=r"^( *[!-~]+ *)*$",
        ),
    ] = ""
    api_audience: Annotated[
        str,
        Meta(
            description="The `aud` of its access tokens (RFC 9068) that the records take; their "
            "client has to be registered with this node as well. Empty: none are taken.",
            max_length=255,
            min_length=0,
        ),
    ] = ""
    api_types: Annotated[
        str,
        Meta(
            description="The `typ` that such a token may have; `JWT` as well where the issuer does "
            "not mark access tokens.",
            pattern=r"^at\+jwt( JWT)?$",
        ),
    ] = "at+jwt"
    api_seconds_max: Annotated[
        int, Meta(description="How long such a token may be good at most.", ge=10, le=86400)
    ] = 3600
    ask_seconds_max: Annotated[
        float, Meta(description="How long the issuer may take to answer.", gt=0, le=60)
    ] = 5.0
    answer_bytes_max: Annotated[
        int, Meta(description="The largest answer of the issuer.", ge=1024)
    ] = 262144
    key_seconds_max: Annotated[
        int, Meta(description="How long its keys and addresses are believed.", ge=1)
    ] = 300
    skew_seconds_max: Annotated[
        int, Meta(description="How far its clock may be from the node's.", ge=0, le=120)
    ] = 10
