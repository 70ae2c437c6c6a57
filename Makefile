# recsvc. `make` lists the targets. Every RECSVC_* variable of docs/settings.md is honoured.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

SOURCE = $(if $(DATASET),--dataset "$(DATASET)") $(if $(DATA),--data "$(DATA)") $(if $(COLUMNS),--columns "$(COLUMNS)") \
         $(if $(CATALOGUE),--catalogue "$(CATALOGUE)") $(if $(CONFIG),--config "$(CONFIG)")
TRAINING := $(PY) -m training

.PHONY: help install run serve worker data train tune evaluate compare models recommend batch prune promote rollback \
        retrain schedule reaction ageing report offpolicy validate-statistics simulate test lint format show bench bench-load bench-size \
        bench-accuracy chaos lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## the virtual environment with the pinned dependencies

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "recsvc needs Python 3.11 or newer; this is $$($(PYTHON) --version). Set PYTHON=path"; exit 2; }
	@echo "• installing the pinned dependencies into $(VENV): about 900 MB, a minute or several …"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## everything: sample data, a trained model, Redis and the service
	@$(TRAINING) ensure $(SOURCE)
	@exec $(PY) -m recsvc

serve: $(STAMP) ## the service alone, with the champion: [WORKERS=processes]
	@$(if $(WORKERS),export RECSVC_WORKERS="$(WORKERS)";) exec $(PY) -m recsvc

worker: $(STAMP) ## another event worker beside a running service (or RECSVC_REDIS_URL)
	@exec $(PY) -m recsvc.worker

data: $(STAMP) ## read and check a data set: DATASET=, or DATA= COLUMNS= CATALOGUE=
	@$(TRAINING) data $(SOURCE)

train: $(STAMP) ## train, evaluate and publish a version: DATASET= or DATA=, CONFIG=
	@$(TRAINING) train $(SOURCE)

tune: $(STAMP) ## search better settings, resumable: DATASET= [MINUTES=30] [TRIALS=60] [FACTORS=256] [CONFIG=]
	@$(TRAINING) tune $(SOURCE) $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(TRIALS),--trials "$(TRIALS)") \
	  $(if $(FACTORS),--max-factors "$(FACTORS)")

evaluate: $(STAMP) ## measure a version against the baselines again: VERSION= or DATASET=
	@$(TRAINING) evaluate $(if $(VERSION),--version "$(VERSION)") $(SOURCE)

compare: $(STAMP) ## compare two versions over the same users: A= B=
	@$(if $(and $(A),$(B)),,echo "usage: make compare A=version B=version"; exit 2;) $(TRAINING) compare "$(A)" "$(B)"

models: $(STAMP) ## list the versions
	@$(TRAINING) models

recommend: $(STAMP) ## what a model recommends to a user: USER=id [VERSION=]
	@$(if $(and $(filter command,$(firstword $(origin USER))),$(USER)),,echo "usage: make recommend USER=id"; exit 2;) \
	  $(TRAINING) recommend $(if $(VERSION),--version "$(VERSION)") -- "$(USER)"

batch: $(STAMP) ## the best items for every user, to Parquet; resumable: [VERSION=] [LIMIT=20] [OUT=]
	@$(TRAINING) batch $(if $(VERSION),--version "$(VERSION)") $(if $(LIMIT),--limit "$(LIMIT)") $(if $(OUT),--out "$(OUT)")

prune: $(STAMP) ## remove all but the newest versions: KEEP=number
	@$(if $(KEEP),,echo "usage: make prune KEEP=number"; exit 2;) $(TRAINING) prune "$(KEEP)"

promote: $(STAMP) ## make a version the champion: VERSION= (default the newest) [FORCE=1]
	@$(TRAINING) promote $(if $(FORCE),--force) $(if $(VERSION),"$(VERSION)")

rollback: $(STAMP) ## make the previous champion champion again
	@$(TRAINING) rollback

retrain: $(STAMP) ## data → train → evaluate → gate → promote; alone: the champion's data and the event log
	@$(TRAINING) retrain $(SOURCE)

schedule: $(STAMP) ## retrain whenever it is time, until stopped: HOURS= EVENTS= (default every 24 hours)
	@exec $(TRAINING) schedule $(if $(HOURS),--every-hours "$(HOURS)") $(if $(EVENTS),--every-events "$(EVENTS)")

reaction: $(STAMP) ## cold start: users never seen after 0 to 10 events, items after 0 to 10 users: DATASET=
	@$(TRAINING) reaction $(SOURCE)

ageing: $(STAMP) ## train to several days, test on the weeks after, with and without retraining: DATASET= WEEKS=
	@$(TRAINING) ageing $(if $(WEEKS),--weeks "$(WEEKS)") $(SOURCE)

report: $(STAMP) ## what an experiment did, as HTML and JSON: EXPERIMENT=key [PHASE=] [DEFINITION=file]
	@$(if $(EXPERIMENT),,echo "usage: make report EXPERIMENT=key"; exit 2;) \
	  $(PY) -m recsvc.analysis report $(if $(PHASE),--phase "$(PHASE)") \
	  $(if $(DEFINITION),--definition "$(DEFINITION)") -- "$(EXPERIMENT)"

offpolicy: $(STAMP) ## off-policy estimates beside the truth, on the Open Bandit data; needs RECSVC_DATA_DIR
	@$(PY) -m recsvc.analysis open-bandit

validate-statistics: $(STAMP) ## the statistics of reports, on thousands of simulated experiments: RUNS=
	@$(PY) -m tests.analysis.validation $(if $(RUNS),--runs "$(RUNS)")

simulate: $(STAMP) ## users who live with a real service in an experiment, beside the truth: USERS= DAYS= SEED= ARMS=
	@$(PY) -m tests.simulate $(if $(USERS),--users "$(USERS)") $(if $(DAYS),--days "$(DAYS)") \
	  $(if $(SEED),--seed "$(SEED)") $(if $(ARMS),--arms "$(ARMS)")

test: $(STAMP) ## all tests, with a real Redis on a free port
	@$(PY) -m pytest

lint: $(STAMP) ## formatting, lint, types, import contracts
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(STAMP) ## format and mend what can be mended
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

show: $(STAMP) ## see a promise kept with real processes: WHAT=reaction, consistency, erasure, harness or blend (DATASET=)
	@$(if $(WHAT),,echo "usage: make show WHAT=reaction|consistency|erasure|blend|harness"; exit 2;) \
	  $(PY) -m tests.shows "$(WHAT)" $(if $(DATASET),--dataset "$(DATASET)")

bench: $(STAMP) ## figures, as ratios to baselines run in the same call; less than ten minutes
	@$(PY) -m tests.bench

bench-load: $(STAMP) ## long loads: mixed for five minutes, twice the peak, 100 swaps, connections, events, their worker
	@BENCH_MIXED_SECONDS=300 $(PY) -m tests.bench mixed swaps connections events worker reaction memory

bench-size: $(STAMP) ## a million users and items, 100 M events: 8 GB of memory, 5 GB of disk, half an hour
	@$(PY) -m tests.bench opening indexes growth csr --millions 1,10,100

bench-accuracy: $(STAMP) ## accuracy beside published figures: BENCH=quick, ROWS=; needs RECSVC_DATA_DIR
	@$(PY) -m tests.bench.accuracy $(if $(filter quick,$(BENCH)),--quick) $(ROWS)

chaos: $(STAMP) ## kill service, worker and Redis under load; count what is lost or doubled: ROUNDS= SEED=
	@$(PY) -m tests.chaos $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(SEED),--seed "$(SEED)")

lock: ## resolve the pins anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --extra dev pyproject.toml -o requirements.lock

clean: ## remove the environment and what the tools cached; data, models and state stay
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
