"""External identities: the webhooks of an identity provider, and a sign-in route that older clients still call."""
