# make run    start fer-edge: on a camera if there is one, else on the built-in demo
# make test   all checks, and all tests except the slow ones
# make test-all  all checks and all tests
# make test-mediapipe  compares our use of MediaPipe's models with the mediapipe package (Python 3.12 or older)
# make coverage  runs the tests of the runtime and says which of its lines and branches they reach, in all processes
# make mutants  puts faults into the modules that pyproject.toml names, and says which of them no test notices
# make clean  remove the environments, and what coverage and mutation tests leave

PYTHON ?= python3
ARGS ?=

# The tests start some thousand processes: without bytecode files each would compile all that it imports, 7 s for Keras.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test test-all test-mediapipe coverage mutants lint clean

run: .venv/installed
	.venv/bin/fer-edge run $(ARGS)

# Two files of tests at a time per core, since many wait for cameras, brokers and watchdogs. The order is that of
# tests/conftest.py. At most six: Keras needs a gigabyte in each process.
WORKERS ?= $(shell cores=$$(nproc); echo $$(( cores > 2 ? 6 : 2 * cores )))
PYTEST = .venv-dev/bin/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
test: lint
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: lint
	$(PYTEST) $(ARGS)

# The mediapipe package conflicts with TensorFlow, so the comparison with it has an environment of its own.
test-mediapipe: .venv-mediapipe/installed
	.venv-mediapipe/bin/python -m pytest tests/edge/test_mediapipe.py -k mediapipe_package

coverage: .venv-dev/installed
	$(PYTEST) tests/edge tests/fleet tests/quantize/test_wrap.py --cov --cov-report=term $(ARGS)

# mutmut works on packages below src/, in a copy of the tests beside them.
mutants: .venv-dev/installed
	mkdir -p .mutation/src
	ln -sfn ../../edge/fer_edge ../../fleet/fer_fleet ../../training/fer_train ../../training/recipes ../../quantize/fer_quantize .mutation/src/
	ln -sfn ../docs ../tests ../models ../training ../pyproject.toml .mutation/
	cd .mutation && ../.venv-dev/bin/mutmut run $(ARGS)
	cd .mutation && ../.venv-dev/bin/mutmut results

lint: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports

.venv/installed: pyproject.toml $(shell find edge models quantize training fleet -type f -not -name '*.pyc')
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet .
	touch $@

.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install --quiet --editable '.[dev]'
	touch $@

.venv-mediapipe/installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --editable '.[mqtt]' hypothesis pytest pyte 'opencv-contrib-python<5' \
		'mediapipe==0.10.18'
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-mediapipe .mutation .coverage .coverage.*
