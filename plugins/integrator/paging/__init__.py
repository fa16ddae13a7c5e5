"""Ways of reading a list page by page: pure functions from one page to the question for the next."""
