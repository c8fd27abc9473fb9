#!/bin/sh
# acme.sh's reload command, as root. It is remembered and run after each renewal:
#   acme.sh --install-cert -d www.example.org \
#       --reloadcmd "/usr/local/share/ocspd/hooks/acme.sh [NAME]"
# The files are called NAME.pem; without a NAME as the first domain, with _ for
# the * of a wildcard.
set -eu
domain=${Le_Domain:?acme.sh sets it: this is its --reloadcmd}
chain=${CERT_FULLCHAIN_PATH:?acme.sh sets it}
key=${CERT_KEY_PATH:?acme.sh sets it}
hooks=$(dirname "$(readlink -f "$0")")
# A copy of this file works as well as a link to it.
[ -x "$hooks/deploy-pair" ] || hooks=/usr/local/share/ocspd/hooks
exec "$hooks/deploy-pair" "${1:-$(echo "$domain" | tr '*' _)}" "$chain" "$key"
