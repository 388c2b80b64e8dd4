# What a newcomer runs. Each target installs what it needs and says so; `make` alone lists them.
#
# Only Debian's own Python is used, so that a version manager in front of it changes nothing.

.DEFAULT_GOAL := help
# uv trusts the authorities that this host trusts, as pip and curl do (the second name is for versions before 0.9).
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1
PYTHON := /usr/bin/python3
BUILD := python3 python3-venv python3-dev gcc libc6-dev
RUN := libseccomp2 nftables iproute2 tini procps curl
DEMO := busybox-static docker-registry
TEST := iputils-ping strace docker-compose util-linux libcap2-bin mandoc $(if $(shell command -v docker),,docker.io)
TOX := .tools/bin/tox

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile | expand -t 22

demo:  ## install Seaway, start it, pull and run an image, and show what happened on the bus
	@packaging/system-packages $(BUILD) $(RUN) $(DEMO)
	@packaging/install
	@packaging/demo

demo-down:  ## stop the demo's engine and remove everything that it made
	@packaging/demo-down

test:  ## set up and run the whole test suite
	@packaging/system-packages $(BUILD) $(RUN) $(DEMO) $(TEST)
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -m full

quick: $(TOX)  ## the checks and tests that need no root: before each commit
	@$(TOX) run -m quick

bench:  ## measure Seaway against dockerd and podman, pair by pair, and print one table
	@packaging/system-packages $(BUILD) $(RUN) $(DEMO) $(TEST) docker.io podman runc crun
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -e bench

faults:  ## hurt every process between any two bus messages and writes (FAULTS="--count 10000 --seed 1"), and print one table
	@packaging/system-packages $(BUILD) $(RUN) $(DEMO) $(TEST)
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -e points -- $(or $(FAULTS),--seconds 600)

soak:  ## 30 minutes of mixed use while processes are killed at random (SOAK="--seconds 120 --seed 1")
	@packaging/system-packages $(BUILD) $(RUN) $(DEMO) $(TEST)
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -e soak -- $(SOAK)

packages:  ## dist/*.deb and dist/*.whl, the same bytes from the same commit; then what lintian says of them
	@packaging/system-packages $(BUILD) lintian
	@packaging/packages
	@lintian --fail-on error,warning --suppress-tags bogus-mail-host --allow-root dist/*.deb

upgrade-test:  ## install, upgrade and take back every package under a real systemd, while containers are at work
	@packaging/system-packages $(BUILD) $(RUN) $(TEST) debootstrap
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -e upgrade

fleet-demo:  ## three hosts, a service on each; an upgrade in waves, and one that fails and is taken back, as it happens
	@packaging/system-packages $(BUILD) $(RUN) $(TEST) debootstrap
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -q -e fleet-demo

fleet-test:  ## a fleet of hosts under real systemds: joined, seen, asked, upgraded in waves, and hurt meanwhile
	@packaging/system-packages $(BUILD) $(RUN) $(TEST) debootstrap chromium chromium-driver
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) run -e fleet

dev:  ## one environment, .venv, with every package editable
	@packaging/system-packages $(BUILD) $(RUN)
	@$(MAKE) --no-print-directory $(TOX)
	@$(TOX) devenv -e dev .venv

$(TOX):
	@packaging/tools >/dev/null
	@.tools/bin/uv pip install -q --python .tools/bin/python 'tox>=4.20' 'tox-uv>=1.11'

.PHONY: help demo demo-down test quick bench faults soak packages upgrade-test fleet-demo fleet-test dev
