# The words of README.md and .ci/run. Each makes .venv first; what they do is in the tools they name.
in = .venv/bin/
# Where a wrong branch loses somebody's data: every one of them is tested.
package = fileflow_async
core = codec manifest store looking publishing status set_status draft reading
comma = ,
every_branch = $(subst $(eval) ,$(comma),$(core:%=$(package)/%.py))

.PHONY: help bench demo test e2e matrix check docs clean
help:  ## these words
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

demo: .venv/stamp  ## the example DAGs in a real Airflow, to look at until Ctrl-C; ARGS=--once ends by itself
	@$(in)python -m demo $(ARGS)

test: .venv/stamp  ## all tests, in random order, with their coverage
	$(in)pytest -n 3 --cov --cov-report=term $(ARGS)
	$(in)coverage report --include='$(every_branch)' --fail-under=100

e2e: .venv/stamp  ## Airflow as a team runs it, and what happens when parts of it die; ARGS=outage for one part
	@$(in)python -m tests.e2e $(ARGS)

# dag.test() of older Airflows is another one, and they warn of other things; the demo runs the same DAGs in earnest.
older = 3.1 3.2
at_airflow = tests/triggers tests/sensors tests/operators tests/test_compat.py --ignore=tests/operators/test_example_dags.py
matrix: $(older:%=matrix-%)  ## the demo, and the tests of triggers, sensors and operators, with each older Airflow

.PRECIOUS: .venv-%/stamp
matrix-%: .venv-%/stamp
	@echo "Airflow $*"
	@.venv-$*/bin/python -m demo --once
	@.venv-$*/bin/pytest -n 2 -q -W default -o cache_dir=.venv-$*/cache $(at_airflow)

faults: .venv/stamp  ## kills, full disks, outages, races: minutes of them; LONG=1 hours, ROWS="3 28" some
	@nice $(in)python -m tests.faults --form $(if $(LONG),long,normal) $(if $(RECORD),--record) $(ROWS)

bench: .venv-bench/stamp  ## docs/benchmarks.md anew, beside others, in half an hour; ARGS=--quick only tries it
	@.venv-bench/bin/python bench $(ARGS)

check: .venv/stamp  ## format, lint, types, layers, wheel, docs
	$(in)ruff format --check .
	$(in)ruff check .
	$(in)mypy
	$(in)lint-imports --no-logo
	$(in)python tools/check-wheel
	@$(MAKE) --no-print-directory docs

docs: .venv/stamp  ## the site, in docs/_build; a warning is an error
	$(in)sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs docs/_build

clean:  ## forget what was built, .venv too
	rm -rf .venv .venv-* .coverage* .hypothesis .*_cache dist docs/_build

.venv/stamp: constraints.txt pyproject.toml tools/bootstrap
	@tools/bootstrap

.venv-%/stamp: constraints.txt tests/matrix/airflow-%.txt pyproject.toml tools/bootstrap
	@tools/bootstrap .venv-$* constraints.txt tests/matrix/airflow-$*.txt

.venv-bench/stamp: bench/constraints.txt pyproject.toml tools/bootstrap
	@tools/bootstrap .venv-bench bench/constraints.txt
