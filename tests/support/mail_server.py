#!/usr/bin/python3
"""A mail server for tests: aiosmtpd, with TLS and AUTH as a provider of mail has them.

    mail_server.py FOLDER starttls|smtps|plain

Makes FOLDER/ca.pem (a certificate for 127.0.0.1), says READY with its port, and writes each mail to FOLDER/mail-N.json: whether it came
over TLS, as whom, from and to, subject, and the decoded parts by their type. User and password are `pj` and `open-sesame`.
"""
import email
import email.policy
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keeper:
    def __init__(self, folder):
        self.folder, self.count = folder, 0

    async def handle_DATA(self, _server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.count += 1
        path = os.path.join(self.folder, f"mail-{self.count}.json")
        with open(path + ".new", "w", encoding="utf-8") as out:
            json.dump({
                "tls": session.ssl is not None or session.extended_smtp and self.implicit,
                "user": session.auth_data.login.decode() if session.authenticated else None,
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "subject": message["subject"],
                "parts": {part.get_content_type(): part.get_content() for part in message.iter_parts()},
            }, out)
        os.rename(path + ".new", path)
        return "250 taken"


def authenticate(_server, _session, _envelope, _mechanism, data):
    good = isinstance(data, LoginPassword) and data.login == b"pj" and data.password == b"open-sesame"
    return AuthResult(success=good, handled=False, auth_data=data)


def main():
    folder, mode = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ca, key = os.path.join(folder, "ca.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", ca],
                   check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca, key)
    keeper = Keeper(folder)
    keeper.implicit = mode == "smtps"
    options = {"authenticator": authenticate, "auth_require_tls": mode == "starttls", "auth_required": mode != "plain"}
    if mode == "starttls":
        options |= {"tls_context": context, "require_starttls": True}

    class Server(Controller):
        def factory(self):
            return SMTP(self.handler, hostname="mail.example.org", **options)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(keeper, hostname="127.0.0.1", port=port, ssl_context=context if keeper.implicit else None)
    server.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(f"READY=1\nSTATUS={port}".encode(), os.environ["NOTIFY_SOCKET"])
    stop.wait()
    server.stop()


main()
