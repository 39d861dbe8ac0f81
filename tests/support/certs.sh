#!/bin/sh
# certs.sh FOLDER: keys and certificates of a test's own, valid for two days. Of the authority "ca": server (localhost, 127.0.0.1), named
# (redis.example.com only), expired, client. Of the authority "other": stranger (as server), visitor (a client).
set -eu
cd "$1"
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.crt" -subj "/CN=Test $1" -days 2
}
# issue NAME AUTHORITY DAYS ALTERNATIVE-NAMES
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" -addext "subjectAltName=$4"
    openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -copy_extensions copyall -days "$3" -out "$1.crt"
}
exec 2>log
authority ca
authority other
issue server ca 2 DNS:localhost,IP:127.0.0.1
issue named ca 2 DNS:redis.example.com
issue expired ca -1 DNS:localhost,IP:127.0.0.1
issue client ca 2 DNS:client
issue stranger other 2 DNS:localhost,IP:127.0.0.1
issue visitor other 2 DNS:visitor
openssl pkey -in client.key -aes256 -passout pass:secret -out locked.key
echo "no certificate" >broken.crt
