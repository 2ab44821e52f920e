#!/bin/sh
# A machine whose network is read by a proxy of its own: its certificate authorities may be mounted here (see DEVENV_CA_BUNDLE in compose.yaml), for the imports of the functions.
[ ! -s /run/devenv-ca.pem ] || export DENO_CERT=/run/devenv-ca.pem
exec deno run -A --quiet --no-lock /app/main.ts
