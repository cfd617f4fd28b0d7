#!/bin/sh
# Writes nginx's configuration from the template and the environment, then becomes nginx.
set -eu
template=${SENTRASCAN_PROXY_TEMPLATE:-/etc/sentrascan/nginx.conf.template}
configuration=${TMPDIR:-/tmp}/nginx.conf

# A multipart body is larger than the file in it; the application counts the file.
body=$((${SENTRASCAN_MAX_UPLOAD_BYTES:-21474836480} + 1048576))
# Proxies in front of this one, by address or network: only they say who the client is
# and whether it came by https.
real_ip='' trusted=''
for proxy in $(printf '%s' "${SENTRASCAN_TRUSTED_PROXIES:-}" | tr ',' ' '); do
    case $proxy in
    *[!0-9a-fA-F.:/]*)
        echo "SENTRASCAN_TRUSTED_PROXIES: $proxy is no address or network" >&2
        exit 1
        ;;
    esac
    real_ip="${real_ip}set_real_ip_from $proxy; "
    trusted="$trusted$proxy 1; "
done
sed -e "s|@MAX_BODY@|$body|" -e "s|@REAL_IP@|$real_ip|" -e "s|@TRUSTED@|$trusted|" \
    "$template" >"$configuration"
exec nginx -e stderr -c "$configuration" -g 'daemon off;'
