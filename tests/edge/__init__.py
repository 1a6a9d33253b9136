"""Tests of the edge and the worker, with doubles behind them where a test does not ask for the stack."""
