"""A five-bus wholesale market: cleared by HiGHS, settled per vehicle."""
