"""Svix, through which Clerk delivers its webhooks: it signs as the Standard Webhooks specification says."""

import re

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = re.compile(r"whsec_[A-Za-z0-9+/]+={0,2}")


class WebhookVerifier:
    """Verifies the signatures of deliveries."""

    def __init__(self, secret: str) -> None:
        """Take the secret of the endpoint: `whsec_` and base64. Raises ValueError where it is not one."""
        # The library ignores characters that are not base64, and so takes two secrets for one.
        if not SECRET.fullmatch(secret):
            raise ValueError("not a secret")
        self._webhook = Webhook(secret)

    def is_signed(self, body: bytes, *, event_id: str, timestamp: str, signatures: str) -> bool:
        """Whether Svix signed these very bytes, as this event, at a time within five minutes of now.

        Args:
            body: of the request.
            event_id: header `svix-id`.
            timestamp: header `svix-timestamp`.
            signatures: header `svix-signature`: several while the secret is being changed.
        """
        # The specification's names of the headers that Svix sends under its own.
        headers = {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
        # ValueError: a signature is not base64 or has no version, or the body is not text.
        try:
            self._webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True
