"""Firebase: ID tokens, and what must not pass for one."""

from __future__ import annotations

from tests.identity.shapes.shape import Config, Shape, Shapes, life_of


def firebase(config: Config) -> Shapes:
    """Verify ID Tokens; DecodedIdToken; Manage Session Cookies; the Auth emulator's unsigned tokens."""
    project, uid = config["audience"], "kJ3pQ9sT2uVxYz01AbCdEfGhIjK2"
    life = life_of(3600)
    base = Shape(
        {"alg": "RS256", "kid": "issuer", "typ": "JWT"},
        {
            "name": "Alice Abel",
            "picture": "https://lh3.googleusercontent.com/a/photo",
            "iss": config["issuer"],
            "aud": project,
            "auth_time": life["iat"] - 60,
            "user_id": uid,
            "sub": uid,
            **life,
            "email": "alice@example.com",
            "email_verified": True,
            "firebase": {
                "identities": {"google.com": ["106123456789012345678"], "email": ["alice@example.com"]},
                "sign_in_provider": "google.com",
            },
        },
    )
    by_password = {"identities": {"email": ["alice@example.com"]}, "sign_in_provider": "password"}
    password = base.saying(email_verified=False, name=None, picture=None, firebase=by_password)
    nobody = {"identities": {}, "sign_in_provider": "anonymous"}
    phone = {"identities": {"phone": ["+15555550100"]}, "sign_in_provider": "phone"}
    account = "firebase-adminsdk-x1@acme-video.iam.gserviceaccount.com"
    toolkit = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
    custom = Shape(base.header, {"iss": account, "sub": account, "aud": toolkit, "uid": uid, **life}, "service account")
    cookie = base.saying(iss=f"https://session.firebase.google.com/{project}", exp=life["iat"] + 5 * 86_400)
    unnamed = base.saying(email=None, email_verified=None, name=None, picture=None, provider_id="anonymous")
    return {
        "ID token, signed in with Google": base,
        "ID token, signed in with a password, address not verified": password,
        'the same with the custom claim `groups: ["host"]`': password.saying(groups=["host"]),
        'the same with the custom claim `scope: "rooms:admin"`': password.saying(scope="rooms:admin"),
        "ID token of an anonymous user": unnamed.saying(firebase=nobody),
        "ID token by a sign-in method that is not listed": unnamed.saying(firebase=phone, provider_id=None),
        "ID token of another project": base.saying(iss="https://securetoken.google.com/evil-video", aud="evil-video"),
        "session cookie": cookie.signed_by("session cookies"),
        "custom token, not yet exchanged": custom,
        "ID token of the emulator, which signs nothing": base.headed(alg="none", kid=None).signed_by(None),
    }
