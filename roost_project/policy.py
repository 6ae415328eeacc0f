"""Tell browsers what a page may load and run: what comes from here, and nothing that was written into it."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class ContentPolicyMiddleware(MiddlewareMixin):
    """Add the policy, but for answers that bring a stricter one of their own, such as downloads.

    Roost escapes what agents wrote. Should a page fail to, the browser still runs none of it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the header."""
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
