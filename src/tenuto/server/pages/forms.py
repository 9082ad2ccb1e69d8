"""What every form of a page carries, so that no other site can send it for somebody."""

from tenuto.server.forgery import CSRF_FIELD, csrf_token

__all__ = ["CSRF_FIELD", "csrf_token"]
