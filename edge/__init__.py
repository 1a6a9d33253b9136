"""The edge: what SQL cannot do. It talks to providers, takes webhooks, moves bytes and renders documents."""
