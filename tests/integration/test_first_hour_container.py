"""wsgate in a container: a port below 1024 that it may not bind, and the mends
that the line names."""
import re

import pytest

import container
import first_hour
import symptoms

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]


@pytest.fixture
def etc(folder, pki):
    """The container's /etc/wsgate, readable for its user."""
    made = folder / "etc"
    (made / "certs").mkdir(parents=True)
    leaf = pki.leaf(first_hour.NAME)
    (made / "certs/site.pem").write_bytes(leaf.chain_pem + leaf.key_pem)
    (made / "wsgate.yaml").write_text(symptoms.site(
        locations="{files: /usr/share/doc/base-files}"))
    return made


def refusal(folder, etc):
    with container.run(folder, etc, "/usr/local/sbin/wsgate") as made:
        line = made.daemon.wait_log("cannot start")
        assert made.daemon.wait_exit() == 77
    assert "listen 0.0.0.0:443: ports below 1024 need" in line
    assert "systemctl" not in line, "there is no systemd in a container"
    return line


@pytest.mark.row("rights: port 443 in a container: the line names the mends")
def test_a_port_above_1024(folder, etc):
    line = refusal(folder, etc)
    port = re.search(r"a port above 1024, published as this one "
                     r"\(-p 443:(\d+)\)", line)[1]
    (etc / "wsgate.yaml").write_text(symptoms.site(
        listen=f'"0.0.0.0:{port}"', locations="{files: /usr/share}"))
    with container.run(folder, etc, "/usr/local/sbin/wsgate") as made:
        made.daemon.wait_log("ready")
        assert "License" in made.get(f"{port}/common-licenses/GPL-3")


def test_the_sysctl(folder, etc):
    name, value = re.search(r"--sysctl (\S+)=(\d+)",
                            refusal(folder, etc)).groups()
    (etc / "wsgate.yaml").write_text(symptoms.site(
        locations="{files: /usr/share}"))
    with container.run(folder, etc, "/usr/local/sbin/wsgate",
                       sysctl={name: value}) as made:
        made.daemon.wait_log("ready")
        assert "License" in made.get("443/common-licenses/GPL-3")
