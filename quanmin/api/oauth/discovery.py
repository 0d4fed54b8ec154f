"""What a node tells of its authorization server (SMART 2.2 conformance, RFC 8414, OpenID Connect
Discovery 1.0).
"""

from __future__ import annotations

from typing import Any, Final

from quanmin.trust.scopes import PLAIN
from quanmin.trust.sign_in.assertions import ALGORITHMS
from quanmin.trust.sign_in.id_tokens import ALGORITHM
from quanmin.trust.sign_in.server import TOKEN_PATH, Issuer

AUTHORIZE: Final = "/oauth/authorize"
TOKEN: Final = TOKEN_PATH
INTROSPECT: Final = "/oauth/introspect"
REVOKE: Final = "/oauth/revoke"
KEYS: Final = "/oauth/keys"
LAUNCHES: Final = "/oauth/launches"
APPROVALS: Final = "/account/applications"
LOGOUT: Final = "/oauth/backchannel-logout"

_CAPABILITIES: Final = [
    "launch-ehr",
    "launch-standalone",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
    "authorize-post",
]
_METHODS: Final = ["private_key_jwt", "client_secret_basic"]


def smart_configuration(issuer: Issuer) -> dict[str, Any]:
    """`.well-known/smart-configuration` (SMART 2.2, conformance)."""
    return {
        "issuer": issuer.address,
        "jwks_uri": issuer.at(KEYS),
        "authorization_endpoint": issuer.at(AUTHORIZE),
        "token_endpoint": issuer.at(TOKEN),
        "token_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS),
        "introspection_endpoint": issuer.at(INTROSPECT),
        "introspection_endpoint_auth_methods_supported": _METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS),
        "revocation_endpoint": issuer.at(REVOKE),
        "revocation_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS),
        "management_endpoint": issuer.at(APPROVALS),
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": [
            *sorted(PLAIN),
            *(f"{context}/*.{ways}" for context in ("patient", "user") for ways in ("rs", "cruds")),
            "system/*.cruds",
            "system/*.rs",
        ],
        "capabilities": _CAPABILITIES,
    }


def openid_configuration(issuer: Issuer) -> dict[str, Any]:
    """`.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 3)."""
    return {
        **smart_configuration(issuer),
        "subject_types_supported": ["public"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,  # left out, it would mean that they are taken
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce"),
            *("amr", "at_hash", "fhirUser"),
        ],
    }


def security(issuer: Issuer) -> dict[str, Any]:
    """What the CapabilityStatement says of it (SMART 2.2, oauth-uris; SMART-on-FHIR)."""
    addresses = {"authorize": AUTHORIZE, "token": TOKEN, "introspect": INTROSPECT, "revoke": REVOKE}
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [
                    {"url": name, "valueUri": issuer.at(path)} for name, path in addresses.items()
                ],
            }
        ],
        "service": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                        "code": "SMART-on-FHIR",
                    }
                ]
            }
        ],
    }
