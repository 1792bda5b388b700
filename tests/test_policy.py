"""The Content-Security-Policy of a page."""

from __future__ import annotations

from runbook.site import policy

PAGE = (
    "<!doctype html><html><head><title>x</title><script>one()</script>"
    '<script src="a.js"></script><script type="application/json">{"a": 1}</script>'
    "<style>p { color: red }</style></head><body><script>two()</script></body></html>"
)


def test_a_pages_own_scripts_are_allowed_by_their_digest() -> None:
    assert policy.of(PAGE) == (
        "default-src 'none';"
        " script-src 'self' 'sha256-HR7iaask9daLMRRskMI++QeJtjWDOjyPA6lGzYGzKW4='"
        " 'sha256-iMrPAWirDC2X0OhZzLsM2MRIWSmepJGI4r7D8ZlwBOw=';"
        " style-src 'self' 'sha256-ngewhhP73WDIbgwseeu52VAAJgKdGUsu1IUQQsAm8m4=';"
        " img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self';"
        " base-uri 'none'; form-action 'none'"
    )


def test_the_policy_comes_first() -> None:
    shown = policy.with_policy(PAGE)
    assert shown.startswith(
        '<!doctype html><html><head><meta http-equiv="Content-Security-Policy" content="'
    )
    assert shown.count("Content-Security-Policy") == 1
