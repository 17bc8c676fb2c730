"""Tokens of the shape that identity providers document, by the names of the guides' configurations and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.identity.shapes.alb import alb
from tests.identity.shapes.auth0 import auth0, auth0_logout
from tests.identity.shapes.clerk import clerk, clerk_template
from tests.identity.shapes.cognito import cognito, cognito_id
from tests.identity.shapes.entra import entra, entra_v1
from tests.identity.shapes.firebase import firebase
from tests.identity.shapes.keycloak import keycloak, keycloak_logout
from tests.identity.shapes.shape import Config, Shape, Shapes
from tests.identity.shapes.supabase import supabase, supabase_legacy

SHAPES: Mapping[str, Callable[[Config], Shapes]] = {
    "alb": alb,
    "auth0": auth0,
    "clerk": clerk,
    "clerk-template": clerk_template,
    "cognito": cognito,
    "cognito-id": cognito_id,
    "entra": entra,
    "entra-v1": entra_v1,
    "firebase": firebase,
    "keycloak": keycloak,
    "supabase": supabase,
    "supabase-legacy": supabase_legacy,
}
LOGOUTS: Mapping[str, Callable[[Config], Shape]] = {"auth0": auth0_logout, "keycloak": keycloak_logout}
