# Only names for scripts/; there is nothing to build.
.PHONY: check format run test

check: ## linters, types, import floors and the quick tests
	scripts/test --quick

format:
	scripts/test --format

run:
	scripts/run

test:
	scripts/test
