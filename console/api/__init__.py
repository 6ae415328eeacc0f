"""The REST API, `roost/api/v1/` where console.urls is included at `roost/`.

A request passes the guard (size, kind and form of the body), is known (session with CSRF token, or bearer token), is
counted (throttle), and reaches a route, which names the permission it takes. Routes call operations and queries, and
nothing else. Whatever is refused is told as problem+json.

A product with a NinjaAPI of its own mounts the same routes there: `console.api.api.install(their_api)`.
"""
