"""What an operator meets in the first hour with wsgate: the line that is read,
and that the mend in it, applied word for word, works. In a booted machine."""
import re

import pytest

import first_hour
import harness
import machine
import symptoms

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]

PHP_SOCKET = "/run/php/php8.2-fpm.sock"


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    """One boot for all of them: nginx and PHP are there, not started."""
    with machine.boot(tmp_path_factory.mktemp("first")) as made:
        yield made


@pytest.fixture
def host(booted, pki):
    symptoms.fresh(booted)
    first_hour.put_site(booted, pki.leaf(first_hour.NAME))
    return booted


# ---- certificates ----------------------------------------------------------------

@pytest.mark.row("rights: certbot's live/ is named with its mode and the hook")
def test_the_folder_that_certbot_keeps_to_itself(host, pki):
    leaf = pki.leaf(first_hour.NAME)
    symptoms.certbot_layout(host, leaf)
    live = f"/etc/letsencrypt/live/{first_hour.NAME}"
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(
        f"{{chain: {live}/fullchain.pem, key: {live}/privkey.pem}}"))
    line = symptoms.failed_start(host, 77)
    assert "wsgate.yaml:4:" in line
    assert "user wsgate may not search the folder /etc/letsencrypt/live " \
        "(root:root 0700)" in line
    symptoms.apply(host, line)
    named = re.search(r"copies the pair to (\S+): name that", line)[1]
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(f"{{chain: {named}}}"))
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"
    assert host.ok("test -x /etc/letsencrypt/renewal-hooks/deploy/certbot")


@pytest.mark.row("rights: a configuration that may not be read is 77, once")
def test_a_configuration_for_root_alone(host):
    host.sh("chmod 600 /etc/wsgate/wsgate.yaml")
    line = symptoms.failed_start(host, 77)
    assert re.search(r"/etc/wsgate/wsgate\.yaml: Permission denied.*user "
                     r"wsgate.*0600.*root:root", line)
    host.sh(re.search(r"chgrp wsgate \S+ && chmod \S+ [^\s\"]+", line)[0])
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


def test_a_key_for_root_alone(host):
    host.sh("chown root:root /etc/wsgate/certs/site.pem")
    line = symptoms.failed_start(host, 77)
    assert "user wsgate may not read the file /etc/wsgate/certs/site.pem " \
        "(root:root 0640)" in line or "PrivateUsers" in line
    symptoms.apply(host, line)
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


@pytest.mark.row("rights: a key that everybody may read is a warning")
def test_a_key_that_everybody_may_read(host):
    host.sh("chmod 644 /etc/wsgate/certs/site.pem")
    cursor = host.cursor()
    host.sh("systemctl start wsgate")
    line = host.wait_journal("key file is readable by everybody", "wsgate",
                             cursor)
    assert symptoms.page(host) == "good day\n"
    path = re.search(r"file=(\S+)", line)[1]
    host.sh(re.search(r'mend="([^"]+)"', line)[1] + " " + path)
    assert host.out(f"stat -c %a {path}") == "640"
    cursor = host.cursor()
    host.sh("systemctl restart wsgate")
    assert symptoms.page(host) == "good day\n"
    assert "readable by everybody" not in host.journal("wsgate", cursor)


@pytest.mark.row("certificates: what does not fit is named with its place")
def test_a_pair_that_does_not_fit(host, pki):
    other = pki.leaf("other.example.org", key_name="other")
    host.write("/etc/wsgate/certs/site.key", other.key_pem, 0o640,
               "root:wsgate")
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(
        "{chain: certs/site.pem, key: certs/site.key}"))
    line = symptoms.failed_start(host, 78)
    assert re.search(r"/etc/wsgate/wsgate\.yaml:4:\d+: .*key /etc/wsgate/certs/"
                     r"site\.key.* certificate /etc/wsgate/certs/site\.pem",
                     line)
    host.write("/etc/wsgate/certs/site.key", pki.leaf(
        first_hour.NAME).key_pem, 0o640, "root:wsgate")
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


def encrypted(host, leaf):
    host.write("/root/plain.key", leaf.key_pem, 0o600)
    return host.sh("openssl pkey -in /root/plain.key -aes256 -passout "
                   "pass:secret").out


@pytest.mark.row("certificates: files in another form get a clear line")
@pytest.mark.parametrize("chain,key,says", [
    ("chain", "encrypted", "site.key: is encrypted"),
    ("key", "chain", "site.pem: no certificate found (a key alone: are chain "
     "and key swapped?)"),
    ("chain", "chain", "site.key: no private key in PEM found (certificates "
     "alone: are chain and key swapped"),
    ("chain", "der", "site.key: no private key in PEM found (it is DER: "
     "`openssl pkey -inform DER -in "),
    ("bom", "key", "site.pem: begins with a byte order mark"),
    ("chain", "bom key", "site.key: begins with a byte order mark"),
])
def test_a_file_in_another_form(host, pki, chain, key, says):
    leaf = pki.leaf(first_hour.NAME)
    forms = {"chain": leaf.chain_pem, "key": leaf.key_pem,
             "encrypted": encrypted(host, leaf).encode(),
             "bom": b"\xef\xbb\xbf" + leaf.chain_pem,
             "bom key": b"\xef\xbb\xbf" + leaf.key_pem,
             "der": symptoms.der_key(leaf)}
    for name, form in (("pem", chain), ("key", key)):
        host.write(f"/etc/wsgate/certs/site.{name}", forms[form], 0o640,
                   "root:wsgate")
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(
        "{chain: certs/site.pem, key: certs/site.key}"))
    line = symptoms.failed_start(host, 78)
    assert says in line
    # What the line says to run turns the file into a good one.
    for command in re.findall(r"`([^`]+)`", line):
        name = "pem" if "site.pem" in command else "key"
        new = f"/etc/wsgate/certs/site.{name}.new"
        if command.endswith("NEW"):
            command = command.replace("FILE", "/etc/wsgate/certs/site.key") \
                .replace("NEW", new) + " -passin pass:secret"
        else:
            command += f" >{new}"
        host.sh(f"{command} && cat {new} >/etc/wsgate/certs/site.{name}")
        host.sh("systemctl start wsgate")
        assert symptoms.page(host) == "good day\n"


@pytest.mark.parametrize("chain", ["crlf", "der"])
def test_forms_that_are_taken(host, pki, chain):
    leaf = pki.leaf(first_hour.NAME)
    forms = {"crlf": leaf.chain_pem.replace(b"\n", b"\r\n"), "der": leaf.der}
    host.write("/etc/wsgate/certs/site.pem", forms[chain], 0o640,
               "root:wsgate")
    host.write("/etc/wsgate/certs/site.key",
               leaf.key_pem.replace(b"\n", b"\r\n"), 0o640, "root:wsgate")
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(
        "{chain: certs/site.pem, key: certs/site.key}"))
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


# ---- PHP -------------------------------------------------------------------------

@pytest.fixture
def php(host):
    host.write("/srv/www/index.php", "<?php echo 'it is ', 6 * 7, \"\\n\";")
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(
        locations=f"{{fastcgi: {{servers: ['unix:{PHP_SOCKET}'], "
                  "root: /srv/www}}"))
    host.sh("mkdir -p /run/php")
    with symptoms.program(host, "php-fpm8.2 -F", "php"):
        harness.wait_until(lambda: host.ok(f"test -S {PHP_SOCKET}"), "PHP")
        assert host.out(f"stat -c %U:%G:%a {PHP_SOCKET}") == \
            "www-data:www-data:660"
        yield host


@pytest.mark.row("rights: a socket of another group is named with the drop-in")
@pytest.mark.parametrize("ids", ["hidden", "seen"])
def test_a_socket_of_another_group(php, ids):
    if ids == "seen":
        php.drop_in("wsgate.service", "[Service]\nPrivateUsers=no\n", "ids")
    elif "PrivateUsers=yes" not in php.read(
            "/usr/local/lib/systemd/system/wsgate.service"):
        php.drop_in("wsgate.service", "[Service]\nPrivateUsers=yes\n", "ids")
    cursor = php.cursor()
    php.sh("systemctl start wsgate")
    early = php.wait_journal("socket of a server cannot be used", "wsgate",
                             cursor)
    assert f"path={PHP_SOCKET}" in early
    assert symptoms.status(php) == 502
    line = php.wait_journal("backend failed", "wsgate", cursor)
    for told in (early, line):
        if ids == "seen":
            assert f"user wsgate may not use the socket {PHP_SOCKET} " \
                "(www-data:www-data 0660)" in told
            assert "SupplementaryGroups=www-data;" in told
        else:
            assert f"the socket {PHP_SOCKET} (mode 0660, PrivateUsers= hides " \
                "its group)" in told
            assert "SupplementaryGroups=www-data if `stat " in told
    symptoms.apply(php, line)
    assert symptoms.page(php) == "it is 42\n"
    cursor = php.cursor()
    php.sh("systemctl restart wsgate")
    assert "cannot be used" not in php.journal("wsgate", cursor)


def test_who_is_asked_as_root_names_the_group(php):
    done = php.sh("wsgate -t")
    assert f"path={PHP_SOCKET}" in done.err
    assert "(www-data:www-data 0660)" in done.err
    php.drop_in("wsgate.service",
                "[Service]\nSupplementaryGroups=www-data\n")
    assert "cannot be used" not in php.sh("wsgate -t").err


# ---- the site's root -------------------------------------------------------------

def with_root(host, root):
    host.sh(f"mkdir -p {root} && echo hello >{root}/index.html")
    host.write("/etc/wsgate/wsgate.yaml",
               symptoms.site(locations=f"{{files: {root}}}"))


def started_with_a_warning(host):
    cursor = host.cursor()
    host.sh("systemctl start wsgate")
    line = host.wait_journal("root cannot be served", "wsgate", cursor)
    assert symptoms.status(host) == 500
    asked = host.wait_journal("backend failed", "wsgate", cursor)
    return line, asked


@pytest.mark.row("rights: ProtectHome= over a site's root is named")
def test_a_site_under_home(host):
    root = "/".join(["/home", "anna", "site"])
    with_root(host, root)
    for line in started_with_a_warning(host):
        assert root in line
        assert "ProtectHome= of the unit hides /home" in line
        assert "ProtectHome=read-only" in line
    assert "ProtectHome=" in host.sh("wsgate -t").err
    symptoms.apply(host, line)
    assert symptoms.page(host) == "hello\n"
    assert "ProtectHome=" not in host.sh("wsgate -t").err


def test_a_site_in_a_private_folder(host):
    with_root(host, "/opt/closed/site")
    host.sh("chmod 750 /opt/closed")
    for line in started_with_a_warning(host):
        assert "user wsgate may not search the folder /opt/closed " \
            "(root:root 0750)" in line
    symptoms.apply(host, line)
    assert symptoms.page(host) == "hello\n"


@pytest.mark.parametrize("folder", ["/opt/team", "/opt/team/site"])
def test_a_site_of_a_group(host, folder):
    with_root(host, "/opt/team/site")
    host.sh("chmod 755 /opt/team /opt/team/site; "
            f"chgrp staff {folder} && chmod 750 {folder}")
    for line in started_with_a_warning(host):
        assert f"user wsgate may not search the folder {folder} (" in line
    symptoms.apply(host, line)
    assert symptoms.page(host) == "hello\n"
    assert "staff" in host.show("wsgate")["SupplementaryGroups"]


def test_a_site_whose_own_folder_is_private(host):
    with_root(host, "/opt/own")
    host.sh("chmod 700 /opt/own")
    for line in started_with_a_warning(host):
        assert "user wsgate may not search the folder /opt/own " \
            "(root:root 0700)" in line
    symptoms.apply(host, line)
    assert symptoms.page(host) == "hello\n"


def test_a_single_file_that_may_not_be_read(host):
    host.sh("chmod 600 /srv/www/index.html && systemctl start wsgate")
    cursor = host.cursor()
    assert symptoms.status(host) == 403
    line = host.wait_journal("file not served", "wsgate", cursor)
    assert "user wsgate may not read the file /srv/www/index.html " \
        "(root:root 0600)" in line
    symptoms.apply(host, line)
    assert symptoms.page(host) == "good day\n"


def test_a_site_that_is_not_there(host):
    with_root(host, "/srv/later")
    host.sh("rm -r /srv/later")
    line, asked = started_with_a_warning(host)
    assert "/srv/later does not exist" in line
    assert "files root /srv/later: No such file or directory" in asked
    host.sh("mkdir /srv/later && echo hello >/srv/later/index.html")
    assert symptoms.page(host) == "hello\n"
