"""The shop's Content-Security-Policy."""

POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'"


class StrictPolicy:
    """Allows what is the shop's own, and nothing inline."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Add the policy to every answer."""
        response = self.get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response
