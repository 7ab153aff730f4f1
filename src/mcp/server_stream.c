#include <limits.h>

#include "base/mem.h"
#include "mcp/server_internal.h"

struct mcp_stream *mcp_stream_new(struct mcp_endpoint *e, struct mcp_session *session) {
    struct mcp_stream *s = mem_alloc(sizeof *s);
    s->refs = 1;
    s->endpoint = e;
    s->session = session;
    list_init(&s->messages);
    fiber_cond_init(&s->changed);
    if (session) {
        s->number = ++session->streams_begun;
        list_push(&session->streams, &s->in_session);
        s->refs++;
    }
    return s;
}

struct mcp_stream *mcp_stream_ref(struct mcp_stream *s) {
    s->refs++;
    return s;
}

static void drop(struct mcp_stream *s, struct mcp_message *m) {
    list_remove(&m->in_stream);
    s->bytes -= m->n;
    s->n_messages--;
    if (list_linked(&s->in_finished)) {
        s->endpoint->stats.replay_bytes -= m->n;
    }
    mem_free(m);
}

static void drop_all(struct mcp_stream *s) {
    list_each (node, &s->messages) {
        drop(s, list_entry(node, struct mcp_message, in_stream));
    }
}

void mcp_stream_unref(struct mcp_stream *s) {
    if (s && --s->refs == 0) {
        drop_all(s);
        mem_free(s);
    }
}

/* Room for one more: notifications that nobody has taken yet make way, oldest first. */
static bool make_room(struct mcp_stream *s, size_t n) {
    list_each (node, &s->messages) {
        if (s->bytes + n <= MCP_MAX_STREAM_BYTES && s->n_messages < MCP_MAX_STREAM_MESSAGES) {
            return true;
        }
        struct mcp_message *m = list_entry(node, struct mcp_message, in_stream);
        if (m->droppable) {
            drop(s, m);
        }
    }
    return s->bytes + n <= MCP_MAX_STREAM_BYTES && s->n_messages < MCP_MAX_STREAM_MESSAGES;
}

/* Line ends are white space to whoever wrote the JSON, and the end of the message to the client. */
static void blank_out(struct mcp_message *m, char c) {
    char *at = m->text, *end = m->text + m->n;
    while ((at = memchr(at, c, (size_t)(end - at)))) {
        *at = ' ';
    }
}

bool mcp_stream_push(struct mcp_stream *s, struct str text, bool droppable) {
    if (s->finished || (!make_room(s, text.n) && droppable)) {
        return false;
    }
    struct mcp_message *m = mem_alloc(sizeof *m + text.n);
    m->seq = ++s->last_seq;
    m->droppable = droppable;
    m->n = text.n;
    memcpy(m->text, text.p, text.n);
    blank_out(m, '\n');
    blank_out(m, '\r');
    list_push(&s->messages, &m->in_stream);
    s->bytes += text.n;
    s->n_messages++;
    fiber_broadcast(&s->changed);
    return true;
}

void mcp_stream_forget(struct mcp_stream *s) {
    struct mcp_endpoint *e = s->endpoint;
    if (list_linked(&s->in_finished)) {
        list_remove(&s->in_finished);
        e->stats.replay_bytes -= s->bytes;
    }
    if (s->session) {
        s->session = NULL;
        list_remove(&s->in_session);
        mcp_stream_unref(s);
    }
}

/* Finished streams are kept until newer ones of the session, or of all, need the room. */
static void keep_for_replay(struct mcp_stream *s) {
    struct mcp_endpoint *e = s->endpoint;
    struct mcp_session *session = s->session;
    unsigned kept = 0;
    list_push(&e->finished, &s->in_finished);
    e->stats.replay_bytes += s->bytes;
    for (struct list *node = session->streams.prev; node != &session->streams;) {
        struct mcp_stream *other = list_entry(node, struct mcp_stream, in_session);
        node = node->prev;
        if (list_linked(&other->in_finished) && ++kept > MCP_MAX_SESSION_STREAMS) {
            mcp_stream_forget(other);
        }
    }
    while (e->stats.replay_bytes > e->options.max_replay_bytes && !list_empty(&e->finished)) {
        mcp_stream_forget(list_entry(e->finished.next, struct mcp_stream, in_finished));
    }
}

void mcp_stream_finish(struct mcp_stream *s) {
    if (s->finished || s->shared) {
        return;
    }
    s->finished = true;
    fiber_broadcast(&s->changed);
    if (s->session) {
        keep_for_replay(s);
    }
}

struct mcp_message *mcp_stream_after(const struct mcp_stream *s, uint64_t seq) {
    list_each (node, &s->messages) {
        struct mcp_message *m = list_entry(node, struct mcp_message, in_stream);
        if (m->seq > seq) {
            return m;
        }
    }
    return NULL;
}

/* How many messages that were sent are kept, as they may not have arrived: all of a response's
 * stream, few of a session's own, none where nothing can be resumed. */
static unsigned kept_after_sending(const struct mcp_stream *s) {
    if (!s->session) {
        return 0;
    }
    return s->session->own == s ? MCP_MAX_NEWS_KEPT : UINT_MAX;
}

void mcp_stream_sent(struct mcp_stream *s, uint64_t seq) {
    unsigned kept = kept_after_sending(s);
    s->sent_seq = MAX(s->sent_seq, seq);
    list_each (node, &s->messages) {
        struct mcp_message *m = list_entry(node, struct mcp_message, in_stream);
        if (m->seq > seq || s->n_messages <= kept) {
            return;
        }
        drop(s, m);
    }
}
