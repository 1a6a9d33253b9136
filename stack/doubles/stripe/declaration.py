"""How the stack runs Stripe's double."""

from stack.project import Double

EVENTS = (
    "account.application.deauthorized",
    "account.updated",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "invoice.paid",
    "invoice_payment.paid",
    "payout.failed",
    "price.deleted",
    "price.updated",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "transfer.created",
    "transfer.reversed",
)
"""The types that the webhook's endpoints at Stripe subscribe to; docs/deploy.md lists them for operators."""

STRIPE = Double(
    name="stripe",
    module="stack.doubles.stripe",
    title="Stripe's double",
    port_offset=10,
    keys={"api_key": "sk_test_", "webhook_secret": "whsec_"},
    environment={
        "DOUBLE_STRIPE_PORT": "{port}",
        "DOUBLE_STRIPE_FOLDER": "{folder}",
        "DOUBLE_STRIPE_PUBLIC_URL": "{url}",
        "DOUBLE_STRIPE_API_KEY": "{api_key}",
        "DOUBLE_STRIPE_WEBHOOK_SECRET": "{webhook_secret}",
        "DOUBLE_STRIPE_WEBHOOK_URL": "{functions_url}/webhooks/stripe",
        "DOUBLE_STRIPE_WEBHOOK_EVENTS": ",".join(EVENTS),
    },
    callers={
        "edge": {
            "EDGE_STRIPE_API_KEY": "{api_key}",
            "EDGE_STRIPE_API_URL": "{url}",
            "EDGE_STRIPE_WEBHOOK_SECRET": "{webhook_secret}",
            "EDGE_STRIPE_COUNTRY": "US",
        },
        "worker": {"WORKER_STRIPE_API_KEY": "{api_key}", "WORKER_STRIPE_API_URL": "{url}"},
    },
    real_keys=("EDGE_STRIPE_API_KEY", "STRIPE_API_KEY"),
    real_callers={
        "edge": {
            "EDGE_STRIPE_API_KEY": ("EDGE_STRIPE_API_KEY", "STRIPE_API_KEY"),
            "EDGE_STRIPE_WEBHOOK_SECRET": ("EDGE_STRIPE_WEBHOOK_SECRET", "STRIPE_WEBHOOK_SECRET"),
            "EDGE_STRIPE_COUNTRY": ("EDGE_STRIPE_COUNTRY", "STRIPE_COUNTRY"),
            "EDGE_STRIPE_TRANSFERS_ONLY": ("EDGE_STRIPE_TRANSFERS_ONLY", "STRIPE_TRANSFERS_ONLY"),
        },
        "worker": {"WORKER_STRIPE_API_KEY": ("WORKER_STRIPE_API_KEY", "EDGE_STRIPE_API_KEY", "STRIPE_API_KEY")},
    },
    reset_path="/_double/reset",
    reset_key="api_key",
)
