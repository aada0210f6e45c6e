# make run    start fer-edge: on a camera if there is one, else on the built-in demo
# make test   all checks and tests
# make test-mediapipe  the tests of the MediaPipe detector, which conflicts with TensorFlow: environments of their own
# make clean  remove the environments

PYTHON ?= python3
ARGS ?=

.PHONY: run test test-mediapipe lint clean

run: .venv/installed
	.venv/bin/fer-edge run $(ARGS)

# A file of tests at a time on each core, in the order of testpaths: many of them wait for cameras, brokers and watchdogs.
test: lint
	.venv-dev/bin/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

# Version 1 is given the model that 0.10 brings, which Python 3.13 and later have not.
test-mediapipe: .venv-mediapipe0/installed .venv-mediapipe1/installed
	.venv-mediapipe0/bin/python -m pytest tests/edge/test_mediapipe.py
	FER_BLAZEFACE=$$(echo $(CURDIR)/.venv-mediapipe0/lib/python3*/site-packages/mediapipe/modules/face_detection/face_detection_short_range.tflite) \
		.venv-mediapipe1/bin/python -m pytest tests/edge/test_mediapipe.py

lint: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports

.venv/installed: pyproject.toml $(shell find edge models quantize training -type f -not -name '*.pyc')
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet .
	touch $@

.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install --quiet --editable '.[dev]'
	touch $@

.venv-mediapipe0/installed .venv-mediapipe1/installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --editable . pytest 'opencv-contrib-python<5' 'mediapipe$(if $(findstring 1,$(@D)),>=1.2,==0.10.18)'
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-mediapipe0 .venv-mediapipe1
