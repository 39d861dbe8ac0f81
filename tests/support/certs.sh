#!/bin/sh
# certs.sh FOLDER: keys and certificates of a test's own, valid for two days. Of the authority "ca": server (localhost, redis.test,
# 127.0.0.1), named (redis.example.com only), expired, client. Of the authority "other": stranger (as server), visitor (a client).
set -eu
cd "$1"
exec 2>log
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.crt" -subj "/CN=Test $1" -days 2
}
# issue NAME AUTHORITY ALTERNATIVE-NAMES [DATES…]
issue() {
    name=$1 signer=$2 names=$3
    shift 3
    [ $# -gt 0 ] || set -- -days 2
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" -addext "subjectAltName=$names"
    openssl x509 -req -in "$name.csr" -CA "$signer.crt" -CAkey "$signer.key" -copy_extensions copyall "$@" -out "$name.crt"
}
authority ca
authority other
issue server ca DNS:localhost,DNS:redis.test,IP:127.0.0.1
issue named ca DNS:redis.example.com
# Older versions cannot say from when, newer ones refuse an end before the beginning.
if openssl x509 -help 2>&1 | grep -q -e -not_before; then
    issue expired ca DNS:localhost,IP:127.0.0.1 -not_before 20240101000000Z -not_after 20240102000000Z
else
    issue expired ca DNS:localhost,IP:127.0.0.1 -days -1
fi
issue client ca DNS:client
issue stranger other DNS:localhost,IP:127.0.0.1
issue visitor other DNS:visitor
openssl pkey -in client.key -aes256 -passout pass:secret -out locked.key
echo "no certificate" >broken.crt
