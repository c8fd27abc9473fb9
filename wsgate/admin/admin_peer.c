/*
 * One connection to the admin socket: requests in, answers out, one at a time.
 * Input: bytes of whoever may open the socket. Output: questions to the owner,
 * JSON lines.
 */
#include "wsgate/admin/admin_peer.h"

#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events);

static void
free_peer(uv_handle_t *handle)
{
    free(handle->data);
}

void
admin_peer_close(struct admin_peer *peer)
{
    list_remove(&peer->node);
    peer->admin->peer_count--;
    uv_close((uv_handle_t *)&peer->poll, free_peer);
    control_fini(&peer->control);
}

/* While it waits for a reload nothing is read, and its leaving is noticed with
 * the answer; while it does not read, neither. */
static void
arm(struct admin_peer *peer)
{
    if (peer->wait != ADMIN_WAIT_NONE)
        (void)uv_poll_stop(&peer->poll);
    else
        (void)uv_poll_start(&peer->poll,
            peer->control.out.len > 0 ? UV_WRITABLE : UV_READABLE, on_poll);
}

/* Takes the answer. */
static void
reply(struct admin_peer *peer, json_t *answer)
{
    if (answer == NULL || !control_put(&peer->control, answer, &peer->gone))
        peer->is_last = true;
    json_decref(answer);
}

/* ---- requests ------------------------------------------------------------------- */

static void
do_reload(struct admin_peer *peer)
{
    struct err err = {0};

    log_info("reload asked for over the admin socket", LOG_I("uid", peer->uid),
        LOG_I("pid", peer->pid));
    peer->wait = ADMIN_WAIT_NEXT;
    peer->is_turn_over = true;
    if (peer->admin->ops->reload(peer->admin->ctx, &err))
        return;
    peer->wait = ADMIN_WAIT_NONE;
    reply(peer, admin_answer_error(err.text, EX_TEMPFAIL));
}

static void
do_status(struct admin_peer *peer)
{
    reply(peer, admin_answer_status(peer->admin));
}

static const struct {
    const char *word;
    void (*run)(struct admin_peer *peer);
} requests[] = {
    {"reload", do_reload},
    {"status", do_status},
};
#define KNOWN "expected {\"do\":\"reload\"} or {\"do\":\"status\"}"

static void
obey(struct admin_peer *peer, const json_t *request)
{
    const char *word = json_string_value(json_object_get(request, "do"));
    struct err err = {0};

    peer->active_ms = uv_now(peer->admin->loop);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (word != NULL && strcmp(word, requests[i].word) == 0) {
            requests[i].run(peer);
            return;
        }
    if (word == NULL)
        (void)err_set(&err, ERR_FORMAT, "no \"do\"; " KNOWN);
    else
        (void)err_set(
            &err, ERR_FORMAT, "unknown request '%.40s'; " KNOWN, word);
    reply(peer, admin_answer_error(err.text, EX_USAGE));
}

/* One request. False: nothing more can be done now. */
static bool
step(struct admin_peer *peer)
{
    json_t *request = NULL;
    struct err err = {0};

    switch (control_next(&peer->control, &request, &err)) {
    case CONTROL_OBJECT:
        obey(peer, request);
        json_decref(request);
        return true;
    case CONTROL_GARBAGE:
        reply(peer, admin_answer_error(err.text, EX_USAGE));
        return true;
    case CONTROL_TOO_LONG:
        reply(peer, admin_answer_error(err.text, EX_USAGE));
        peer->is_last = true;
        return true;
    case CONTROL_END:
        peer->is_last = true;
        return false;
    case CONTROL_NOTHING:
        return false;
    }
    return false;
}

/* Answers in order, as far as the peer reads them. May free it. */
static void
run(struct admin_peer *peer)
{
    bool goes_on = true;

    peer->is_turn_over = false;
    while (goes_on && !peer->is_last && peer->wait == ADMIN_WAIT_NONE &&
           peer->control.out.len == 0) {
        goes_on = step(peer);
        /* A reload that failed at once took its time, too: others first. Its
         * answer goes out with the next turn of the loop. */
        if (peer->is_turn_over)
            break;
        if (!control_flush(&peer->control, &peer->gone)) {
            admin_peer_close(peer);
            return;
        }
    }
    if (peer->is_last && peer->wait == ADMIN_WAIT_NONE &&
        peer->control.out.len == 0)
        admin_peer_close(peer);
    else
        arm(peer);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct admin_peer *peer = poll->data;

    if (status < 0 ||
        ((events & UV_WRITABLE) != 0 &&
            !control_flush(&peer->control, &peer->gone)) ||
        ((events & UV_READABLE) != 0 &&
            !control_receive(&peer->control, &peer->gone))) {
        admin_peer_close(peer);
        return;
    }
    run(peer);
}

void
admin_peer_answer_waiting(
    struct admin *admin, enum admin_wait wait, const json_t *answer)
{
    LIST_EACH(&admin->peers, it)
    {
        struct admin_peer *peer = LIST_ENTRY(it, struct admin_peer, node);

        if (peer->wait != wait)
            continue;
        peer->wait = ADMIN_WAIT_NONE;
        peer->active_ms = uv_now(admin->loop);
        if (answer == NULL || !control_put(&peer->control, answer, &peer->gone))
            peer->is_last = true;
        /* Not run() here: what it asked next may change this very list. */
        (void)uv_poll_start(&peer->poll, UV_WRITABLE, on_poll);
    }
}

/* ---- coming and going -------------------------------------------------------------- */

/* Who connects now gets in before who has been silent longest. */
static bool
make_room(struct admin *admin)
{
    struct admin_peer *oldest = NULL;

    if (admin->peer_count < ADMIN_PEERS_MAX)
        return true;
    LIST_EACH(&admin->peers, it)
    {
        struct admin_peer *peer = LIST_ENTRY(it, struct admin_peer, node);

        if (peer->wait == ADMIN_WAIT_NONE &&
            (oldest == NULL || peer->active_ms < oldest->active_ms))
            oldest = peer;
    }
    if (oldest != NULL)
        admin_peer_close(oldest);
    return oldest != NULL;
}

static void
turn_away(int fd)
{
    static const char text[] =
        "{\"ok\":false,\"error\":\"too many wait for a reload here\","
        "\"exit\":75}\n";

    (void)send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
}

static void
read_credentials(struct admin_peer *peer, int fd)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t len = sizeof(who);

    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
    peer->uid = (int64_t)who.uid;
    peer->pid = who.pid;
}

void
admin_peer_add(struct admin *admin, int fd)
{
    struct admin_peer *peer =
        make_room(admin) ? calloc(1, sizeof(*peer)) : NULL;

    if (peer == NULL) {
        turn_away(fd);
        return;
    }
    peer->admin = admin;
    peer->active_ms = uv_now(admin->loop);
    control_init(&peer->control, fd);
    read_credentials(peer, fd);
    (void)uv_poll_init(admin->loop, &peer->poll, fd);
    peer->poll.data = peer;
    list_init(&peer->node);
    list_add_last(&admin->peers, &peer->node);
    admin->peer_count++;
    arm(peer);
}

void
admin_peer_check_all(struct admin *admin)
{
    uint64_t allowed =
        admin->ops->idle_ms > 0 ? (uint64_t)admin->ops->idle_ms : ADMIN_IDLE_MS;

    LIST_EACH(&admin->peers, it)
    {
        struct admin_peer *peer = LIST_ENTRY(it, struct admin_peer, node);

        if (peer->wait == ADMIN_WAIT_NONE &&
            uv_now(admin->loop) - peer->active_ms > allowed)
            admin_peer_close(peer);
    }
}
