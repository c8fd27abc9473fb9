/* wsgate/process/bundle: files travel whole, a bundle that is not ours does
 * not open. */
#include "wsgate/process/bundle.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[] = "/tmp/bundleXXXXXX";
static char chain[64], key[64];

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    ck_assert_ptr_nonnull(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static struct gate_config *
make_config(void)
{
    struct gate_config *config = NULL;
    struct err err = {0};
    char text[512];

    (void)snprintf(text, sizeof(text),
        "sites:\n"
        "  - listen: [\"127.0.0.1:1443\"]\n"
        "    certificates: [{chain: %s, key: %s}]\n"
        "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n",
        chain, key);
    ck_assert_msg(
        gate_config_parse(span_str(text), &config, &err), "%s", err.text);
    return config;
}

/* As the disk is. */
static bool
from_disk(void *ctx, const char *path, struct span *bytes, struct err *err)
{
    static unsigned char stored[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    ck_assert_ptr_null(ctx);
    if (fd < 0)
        return err_sys(err, "open %s", path);
    n = read(fd, stored, sizeof(stored));
    (void)close(fd);
    *bytes = span_str(n == 9 ? "the chain" : "the key");
    return true;
}

static bool
write_it(
    const struct gate_config *config, uint64_t id, int *fd, struct err *err)
{
    return bundle_write(config, id, from_disk, NULL, fd, err);
}

static void
set_up(void)
{
    (void)snprintf(chain, sizeof(chain), "%s/chain.pem", folder);
    (void)snprintf(key, sizeof(key), "%s/key.pem", folder);
    write_file(chain, "the chain");
    write_file(key, "the key");
}

START_TEST(bundle_carries_configuration_and_files)
{
    struct gate_config *config = make_config();
    struct bundle *bundle = NULL;
    struct err err = {0};
    int fd = -1;

    ck_assert_msg(write_it(config, 42, &fd, &err), "%s", err.text);
    ck_assert_msg(bundle_open(fd, &bundle, &err), "%s", err.text);
    ck_assert_uint_eq(bundle_id(bundle), 42);
    ck_assert(span_eq(bundle_get(bundle, chain), SPAN_LIT("the chain")));
    ck_assert(span_eq(bundle_get(bundle, key), SPAN_LIT("the key")));
    ck_assert_uint_gt(bundle_get(bundle, BUNDLE_CONFIG).len, 0);
    ck_assert_ptr_null(bundle_get(bundle, "/etc/passwd").data);
    bundle_free(bundle);
    gate_config_free(config);
}
END_TEST

static bool
many_bytes(void *ctx, const char *path, struct span *bytes, struct err *err)
{
    (void)ctx;
    (void)err;
    *bytes = span_str(path); /* each file holds its own name */
    return true;
}

/* Each file is found among many, in whatever order rows name them; one that
 * two rows name stands there once. */
START_TEST(bundle_finds_each_of_many_files)
{
    static char text[65536];
    struct gate_config *config = NULL;
    struct bundle *bundle = NULL;
    struct err err = {0};
    size_t used;
    int fd = -1;

    used = (size_t)snprintf(text, sizeof(text),
        "sites:\n"
        "  - listen: [\"127.0.0.1:1443\"]\n"
        "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n"
        "    certificates:\n");
    for (int i = 0; i < 8; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
            "      - {chain: /c/%d.pem, key: /k/%d.key, issuer: /ca.pem}\n",
            i * 7 % 8, i * 3 % 8);
    ck_assert_msg(
        gate_config_parse(span_str(text), &config, &err), "%s", err.text);
    ck_assert(bundle_write(config, 1, many_bytes, NULL, &fd, &err));
    ck_assert_msg(bundle_open(fd, &bundle, &err), "%s", err.text);
    for (int i = 0; i < 8; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "/c/%d.pem", i);
        ck_assert(span_eq(bundle_get(bundle, name), span_str(name)));
        (void)snprintf(name, sizeof(name), "/k/%d.key", i);
        ck_assert(span_eq(bundle_get(bundle, name), span_str(name)));
    }
    ck_assert(span_eq(bundle_get(bundle, "/ca.pem"), span_str("/ca.pem")));
    ck_assert_ptr_null(bundle_get(bundle, "/ca.pe").data);
    ck_assert_ptr_null(bundle_get(bundle, "/ca.pem2").data);
    bundle_free(bundle);
    gate_config_free(config);
}
END_TEST

START_TEST(bundle_cannot_be_written_to)
{
    struct gate_config *config = make_config();
    struct err err = {0};
    int fd = -1;

    ck_assert(write_it(config, 1, &fd, &err));
    ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
    ck_assert_int_eq(ftruncate(fd, 0), -1);
    (void)close(fd);
    gate_config_free(config);
}
END_TEST

START_TEST(bundle_names_the_place_of_a_missing_file)
{
    struct gate_config *config = make_config();
    struct err err = {0};
    int fd = -1;

    (void)unlink(key);
    ck_assert(!write_it(config, 1, &fd, &err));
    ck_assert_ptr_nonnull(strstr(err.text, ":3:"));
    ck_assert_ptr_nonnull(strstr(err.text, key));
    ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
    gate_config_free(config);
}
END_TEST

static int
sealed_copy(const unsigned char *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    (void)fcntl(fd, F_ADD_SEALS,
        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}

START_TEST(a_cut_or_damaged_bundle_does_not_open)
{
    struct gate_config *config = make_config();
    struct bundle *bundle = NULL;
    unsigned char bytes[16384];
    struct err err = {0};
    ssize_t len;
    int fd = -1;

    ck_assert(write_it(config, 1, &fd, &err));
    len = pread(fd, bytes, sizeof(bytes), 0);
    ck_assert_int_gt(len, 100);
    for (ssize_t cut = 0; cut < len; cut += 7)
        ck_assert(!bundle_open(sealed_copy(bytes, (size_t)cut), &bundle, &err));
    bytes[16] ^= 0x40; /* the first name's length */
    ck_assert(!bundle_open(sealed_copy(bytes, (size_t)len), &bundle, &err));
    (void)close(fd);
    gate_config_free(config);
}
END_TEST

START_TEST(a_file_that_is_not_sealed_does_not_open)
{
    struct bundle *bundle = NULL;
    struct err err = {0};

    ck_assert(!bundle_open(
        memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), &bundle, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("bundle");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    if (mkdtemp(folder) == NULL)
        return EXIT_FAILURE;
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, bundle_carries_configuration_and_files);
    tcase_add_test(tcase, bundle_finds_each_of_many_files);
    tcase_add_test(tcase, bundle_cannot_be_written_to);
    tcase_add_test(tcase, bundle_names_the_place_of_a_missing_file);
    tcase_add_test(tcase, a_cut_or_damaged_bundle_does_not_open);
    tcase_add_test(tcase, a_file_that_is_not_sealed_does_not_open);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    (void)unlink(chain);
    (void)unlink(key);
    (void)rmdir(folder);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
