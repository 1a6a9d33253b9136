"""Doubles: processes that play a provider, for an installation without the provider's keys.

A double is a package here that declares a `stack.project.Double`, and one line below.
"""

from stack.doubles.stripe.declaration import STRIPE

DOUBLES = (STRIPE,)
