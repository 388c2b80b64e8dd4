"""An authority of a test's own, with the certificates that it gives: real keys, made by openssl(1)."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """Makes certificates below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.pem"
        self._key = directory / "ca-key.pem"
        constraint = "basicConstraints=critical,CA:TRUE"
        self._run("req", "-x509", *_NEW_KEY, "-keyout", str(self._key), "-out", str(self.certificate), "-days", "2",
                  "-subj", "/CN=test authority", "-addext", constraint)  # fmt: skip

    def server(self, address: str) -> tuple[Path, Path]:
        """A server's certificate and key, for an IP address or a name."""
        kind = "IP" if address.replace(".", "").isdigit() else "DNS"
        return self._issue(
            f"server-{address}", address, f"subjectAltName={kind}:{address}\nextendedKeyUsage=serverAuth"
        )

    def user(self, name: str) -> tuple[Path, Path]:
        """A client's certificate and key."""
        certificate = self.directory / f"{name}.pem"
        if certificate.exists():
            return certificate, self.directory / f"{name}-key.pem"
        return self._issue(name, name, "extendedKeyUsage=clientAuth")

    def client(self, name: str) -> ssl.SSLContext:
        """What a client with that name's certificate connects with."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.load_cert_chain(*map(str, self.user(name)))
        return context

    def engine(self, address: str) -> Path:
        """A directory as `seaway up --tls` takes it, readable by the daemon, which isn't root."""
        place = self.directory / f"engine-{address}"
        place.mkdir(exist_ok=True)
        certificate, key = self.server(address)
        for target, source in (("ca.pem", self.certificate), ("cert.pem", certificate), ("key.pem", key)):
            (place / target).write_bytes(source.read_bytes())
            (place / target).chmod(0o644)
        return place

    def docker(self, name: str) -> Path:
        """A directory as `docker --tlsverify` takes it by DOCKER_CERT_PATH."""
        place = self.directory / f"docker-{name}"
        place.mkdir(exist_ok=True)
        certificate, key = self.user(name)
        for target, source in (("ca.pem", self.certificate), ("cert.pem", certificate), ("key.pem", key)):
            (place / target).write_bytes(source.read_bytes())
        return place

    def _issue(self, file: str, name: str, extensions: str) -> tuple[Path, Path]:
        certificate, key, request = (self.directory / f"{file}{end}" for end in (".pem", "-key.pem", ".csr"))
        self._run("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        settings = self.directory / f"{file}.ext"
        settings.write_text(extensions)
        self._run("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key),
                  "-CAcreateserial", "-days", "2", "-extfile", str(settings), "-out", str(certificate))  # fmt: skip
        return certificate, key

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, cwd=self.directory)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
