/*
 * The words of `ocspd check`.
 * Input: certificate, attempts, answers, steps. Output: text on stdout.
 */
#include "ocspd/verb_check_print.h"

#include "ocspd/verb.h"

#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static void
line(const char *name, const char *text)
{
    (void)printf("%-12s ", name);
    verb_print_text(text);
    (void)putchar('\n');
}

static void
line_time(const char *name, int64_t unix_s)
{
    (void)printf("%-12s ", name);
    verb_print_time(unix_s);
    (void)putchar('\n');
}

void
check_print_certificate(
    const char *path, const struct cert_facts *facts, const X509 *leaf)
{
    char fp[CERT_FINGERPRINT_SIZE] = "-";

    (void)cert_fingerprint(leaf, fp, NULL);
    line("certificate", path);
    line("name", cert_facts_label(facts));
    line("serial", facts->serial_hex);
    line_time("valid from", facts->not_before);
    line_time("valid until", facts->not_after);
    line("fingerprint", fp);
    line("must-staple",
        facts->must_staple
            ? "yes: clients that honour it refuse the site without a staple"
            : "no");
}

void
check_print_issuer(X509 *issuer, const char *where)
{
    char *name = X509_NAME_oneline(X509_get_subject_name(issuer), NULL, 0);

    (void)fputs("issuer       ", stdout);
    verb_print_text(name);
    (void)fputs(", found: ", stdout);
    verb_print_text(where);
    (void)putchar('\n');
    OPENSSL_free(name);
}

void
check_print_no_issuer(const char *configured)
{
    (void)fputs("issuer       not found in the certificate's own file", stdout);
    if (configured != NULL) {
        (void)fputs(" nor in ", stdout);
        verb_print_text(configured);
    }
    (void)putchar('\n');
}

void
check_print_urls(const struct target *target)
{
    const char *name =
        target->rule.responder != NULL ? "responder" : "ocsp url";

    for (unsigned i = 0; i < target->url_count; i++)
        line(name, target->urls[i]);
}

void
check_print_no_url(const struct target *target)
{
    (void)puts("ocsp url     none\n"
               "verdict      has no OCSP URL (Let's Encrypt and others since "
               "2025): nothing to staple; CRL not watched yet");
    if (target->must_staple)
        (void)puts(
            "mend         it demands a staple that nobody can give: have "
            "it issued again without must-staple");
}

static void
print_hex(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        (void)printf("%02x", bytes.data[i]);
}

/* Inside single quotes of a shell. */
static void
print_quoted(const char *text)
{
    (void)putchar('\'');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '\'')
            (void)fputs("'\\''", stdout);
        else
            (void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    (void)putchar('\'');
}

void
check_print_attempt(const struct round_attempt *attempt)
{
    const char *no_cache =
        attempt->no_cache ? " -H 'Cache-Control: no-cache'" : "";

    (void)printf("\nrequest      %s%s, CertID with %s\n",
        attempt->is_post ? "POST" : "GET",
        attempt->no_cache ? ", past caches" : "",
        attempt->digest_nid == NID_sha1 ? "SHA-1" : "SHA-256");
    (void)fputs("  hex        ", stdout);
    print_hex(attempt->der);
    (void)fputs("\n  by hand    ", stdout);
    if (attempt->is_post) {
        (void)fputs("printf '%s' '", stdout);
        print_hex(attempt->der);
        (void)fputs("' | xxd -r -p | ", stdout);
    }
    (void)printf("curl -s -o answer.der%s ", no_cache);
    if (attempt->is_post)
        (void)fputs("-H 'Content-Type: application/ocsp-request' "
                    "--data-binary @- ",
            stdout);
    print_quoted(attempt->url);
    (void)putchar('\n');
}

void
check_print_answer(const struct fetch_result *answer)
{
    (void)fputs("answer       ", stdout);
    if (answer->http_status != 0)
        (void)printf("HTTP %ld, ", answer->http_status);
    if (answer->verdict == VERDICT_GOOD)
        (void)printf("%zu bytes, ", answer->body.len);
    (void)printf("%lld ms", (long long)answer->elapsed_ms);
    if (answer->address[0] != '\0') {
        (void)fputs(" from ", stdout);
        verb_print_text(answer->address);
    }
    if (answer->verdict != VERDICT_GOOD) {
        (void)printf(": %s: ", verdict_word(answer->verdict));
        verb_print_text(answer->err.text);
    }
    if (answer->is_html)
        (void)fputs(" (an HTML page)", stdout);
    (void)putchar('\n');
}

void
check_print_step(const char *step, bool passed, const char *detail)
{
    (void)printf("  %-10s %s", step, passed ? "pass" : "FAIL");
    if (detail != NULL && detail[0] != '\0') {
        (void)fputs("  ", stdout);
        verb_print_text(detail);
    }
    (void)putchar('\n');
}

static void
print_single(const struct round_result *result)
{
    const struct ocsp_single *single = &result->checked.single;

    line_time("this update", single->this_update);
    line_time("next update", single->next_update);
    line_time("serves until", result->checked.life_end);
    if (single->status == OCSP_CERT_REVOKED) {
        line_time("revoked at", single->revoked_at);
        line("reason", ocsp_reason_word(single->revoked_reason));
    }
    if (result->checked.warn_no_nocheck)
        line("warning", "the responder's certificate has no ocsp-nocheck");
    if (result->checked.warn_short_life)
        line("warning", "less than 5 minutes are left: HAProxy will not serve "
                        "it");
}

void
check_print_verdict(const struct round_result *result)
{
    const char *mend = verdict_mend(result->verdict);

    (void)printf("\nverdict      %s", verdict_word(result->verdict));
    if (!round_is_accepted(result->verdict)) {
        (void)fputs(": ", stdout);
        verb_print_text(result->err.text);
    }
    (void)putchar('\n');
    if (round_is_accepted(result->verdict))
        print_single(result);
    if (mend != NULL)
        line("mend", mend);
}
