"""Svix, by which Clerk delivers its webhooks."""

from svix.webhooks import Webhook, WebhookVerificationError

from edge.errors import EdgeError


class Signatures:
    """Tells deliveries that the provider signed from all others."""

    def __init__(self, secret: str) -> None:
        """Take the endpoint's secret, as Svix shows it. Raises ValueError where it can be none."""
        if not secret.removeprefix("whsec_"):
            raise ValueError("the secret is empty")
        self._webhook = Webhook(secret)

    def verify(self, body: bytes, *, event_id: str, timestamp: str, signature: str) -> None:
        """See that these very bytes were signed, as this event, within the last five minutes.

        Raises:
            EdgeError: 400 `signature_invalid`.
        """
        headers = {"svix-id": event_id, "svix-timestamp": timestamp, "svix-signature": signature}
        # ValueError: the signature is not base64, or the body is not text.
        try:
            self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            sentence = "This is not signed by the provider, or not signed just now."
            raise EdgeError(400, "signature_invalid", sentence) from None
