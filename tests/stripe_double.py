"""The control of Stripe's double, for tests: what happens at Stripe that no caller of its API can make happen."""

from typing import Any

import httpx
import stripe


class StripeDouble:
    """One running double: `client` calls it as the edge does, the rest steers it."""

    def __init__(self, url: str, key: str) -> None:
        """Name it by its address, as `status` prints it, and its key, as the state of the stack keeps it."""
        self.url = url
        self.key = key
        self.http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20)
        self._connections = stripe.RequestsClient()
        self.client = stripe.StripeClient(
            key, base_addresses={"api": url}, http_client=self._connections, max_network_retries=0
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
        self._connections.close()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """A call of the control that must succeed: `post("sessions/cs_1/pay", outcome="declined")`."""
        answer = self.http.post(f"/_double/{path}", json=body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """A question to the control."""
        answer = self.http.get(f"/_double/{path}", params=query)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def pay(self, session: str, outcome: str = "paid") -> dict[str, Any]:
        """Pay a session as a person on its page would."""
        return self.post(f"sessions/{session}/pay", outcome=outcome)

    def quiet(self, contains: str = "", seconds: float = 10) -> None:
        """Wait until every event in which a text occurs has been delivered."""
        left = self.post("webhooks/wait", contains=contains, seconds=seconds)["undelivered"]
        assert left == [], left
