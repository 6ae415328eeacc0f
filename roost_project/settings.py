"""Configure the demo product from the environment.

Without any variable it is a checkout on someone's machine: SQLite, a key of its own, local hosts
only. With ROOST_SECRET_KEY, or ROOST_DEPLOYED, it is a deployment, and everything a deployment needs is on. Secrets may
be files: ROOST_SECRET_KEY_FILE names one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from roost_project.database import database_from_url
from roost_project.environment import checkout_key, choice, flag, listed, number, overrides, secret
from runtime.conf import names

BASE_DIR = Path(__file__).resolve().parent.parent
GIVEN_KEY = secret("ROOST_SECRET_KEY")
DEPLOYED = flag("ROOST_DEPLOYED", default=bool(GIVEN_KEY))
if DEPLOYED and not GIVEN_KEY:
    raise ImproperlyConfigured("This is a deployment (ROOST_DEPLOYED), and it has no key: set ROOST_SECRET_KEY.")

SECRET_KEY = GIVEN_KEY or checkout_key(BASE_DIR / ".secret-key")
# Keys that were good before. What they signed, deliveries under way among it, stays good.
SECRET_KEY_FALLBACKS = listed("ROOST_SECRET_KEY_FALLBACKS")
DEBUG = flag("ROOST_DEBUG", default=False)
ALLOWED_HOSTS = listed("ROOST_ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = listed("ROOST_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    # Roost stands before channels, so that `manage.py runworker` is Roost's.
    "runtime",
    "engines",
    "console",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "roost_project.policy.ContentPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "roost_project.urls"
ASGI_APPLICATION = "roost_project.asgi.application"
WSGI_APPLICATION = "roost_project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database -------------------------------------------------------------------------------------

DATABASE_URL = secret("ROOST_DATABASE_URL") or os.environ.get("DATABASE_URL") or "sqlite:///db.sqlite3"
DATABASES = {
    "default": database_from_url(
        DATABASE_URL, BASE_DIR, secret("ROOST_DATABASE_PASSWORD"), pool=os.environ.get("ROOST_DATABASE_POOL", "")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# django-q2 reads this at import and warns when a retry could overtake a running task. Roost's
# workers start a cluster of their own and use none of it.
Q_CLUSTER = {"name": "roost", "orm": "default", "timeout": 60, "retry": 120}

# The engines to run. Those of installed packages are found by themselves; a checkout is not installed.
ROOST_ENGINES = {
    "bulk_verb": "console.bulk.BulkVerb",
    "counter": "engines.counter.Counter",
    "letter": "engines.refund.Letter",
    "patch": "engines.patch.Patch",
    "refund": "engines.refund.Refund",
    "watchlist": "engines.watchlist.Watchlist",
    "webhook_delivery": "engines.webhook.WebhookDelivery",
}
if not DEPLOYED:
    ROOST_ENGINES |= {
        "invoice": "roost_project.demo_engines.Invoice",
        "review": "roost_project.demo_engines.Review",
    }

# Where items have their checkouts.
ROOST_WORKSPACES_ROOT = str(BASE_DIR / "workspaces")

# A checkout's items watch pages of this machine. A deployment calls the public internet, until it says more.
ROOST_OUTGOING_ALLOW = [] if DEPLOYED else ["127.0.0.0/8", "::1"]

# Roost's own settings (runtime/conf.py) may come from the environment too: ROOST_LEASE_SECONDS=30.
globals().update(overrides(names()))
# Text, also where it is all digits.
ROOST_METRICS_TOKEN = secret("ROOST_METRICS_TOKEN") or None
ROOST_API_LINK_KEY = secret("ROOST_API_LINK_KEY") or None

# Live updates ---------------------------------------------------------------------------------

REDIS_URL = secret("ROOST_REDIS_URL")
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "roost"},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}

# Files ----------------------------------------------------------------------------------------

ARTIFACTS_BUCKET = os.environ.get("ROOST_ARTIFACTS_S3_BUCKET", "")
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if DEPLOYED
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
    "roost_artifacts": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": ARTIFACTS_BUCKET,
            "endpoint_url": os.environ.get("ROOST_ARTIFACTS_S3_ENDPOINT_URL") or None,
            "region_name": os.environ.get("ROOST_ARTIFACTS_S3_REGION") or None,
            "location": os.environ.get("ROOST_ARTIFACTS_S3_PREFIX", "roost"),
            "default_acl": None,
            "querystring_auth": True,
        },
    }
    if ARTIFACTS_BUCKET
    else {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            # No base_url: artifacts are handed out by the console, after a permission check.
            "location": os.environ.get("ROOST_ARTIFACTS_DIR") or str(BASE_DIR / "artifacts"),
            "base_url": None,
        },
    },
}

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("ROOST_STATIC_ROOT") or (str(BASE_DIR / "staticfiles") if DEPLOYED else None)
# A checkout serves static files straight from the apps; a deployment runs collectstatic.
WHITENOISE_USE_FINDERS = not DEPLOYED
WHITENOISE_AUTOREFRESH = not DEPLOYED

# Security -------------------------------------------------------------------------------------

HTTPS_ONLY = flag("ROOST_HTTPS_ONLY", default=DEPLOYED)
SECURE_SSL_REDIRECT = HTTPS_ONLY
# Health is asked on the machine itself and by balancers, by plain HTTP; it is told to anybody, and gives nothing away.
SECURE_REDIRECT_EXEMPT = [r"^roost/health/"]
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS = number("ROOST_HSTS_SECONDS", default=365 * 24 * 3600 if HTTPS_ONLY else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = flag("ROOST_HSTS_SUBDOMAINS", default=HTTPS_ONLY)
SECURE_HSTS_PRELOAD = flag("ROOST_HSTS_PRELOAD", default=HTTPS_ONLY)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("ROOST_TRUST_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"

# Words and times ------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = os.environ.get("ROOST_TIME_ZONE", "UTC")
USE_TZ = True

# Logs -----------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": "runtime.logs.TextFormatter"}, "json": {"()": "runtime.logs.JSONFormatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": choice("ROOST_LOG_FORMAT", ("text", "json"))},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "roost": {"level": os.environ.get("ROOST_LOG_LEVEL", "INFO").upper()},
        "roost.items": {"level": os.environ.get("ROOST_ITEM_LOG_LEVEL", "NOTSET").upper()},
    },
}
