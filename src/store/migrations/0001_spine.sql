-- The spine: users, threads, messages, turns and what a turn leaves behind; keys and sessions.
-- Every key of user data begins with the user, so that a name one user chose means nothing to another.

--@postgresql
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'adjutant_gateway') THEN
        CREATE ROLE adjutant_gateway NOLOGIN NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'adjutant_system') THEN
        CREATE ROLE adjutant_system NOLOGIN NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this cluster was migrated at the same moment
END $$;
GRANT adjutant_gateway, adjutant_system TO CURRENT_USER;

CREATE FUNCTION adjutant_require(ok BOOLEAN, tag TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    IF ok IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'AD001', MESSAGE = tag;
    END IF;
    RETURN TRUE;
END $$;
--@end

CREATE TABLE users (
    user_id TEXT PRIMARY KEY CHECK (user_id <> ''),
    name TEXT,
    time_zone TEXT,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE api_keys (
    key_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    profile_name TEXT NOT NULL DEFAULT 'personal',
    label TEXT,
    --@postgresql
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    --@end
    --@sqlite
    created_at TIMESTAMPTZ NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    --@end
    last_used TIMESTAMPTZ,
    is_revoked BOOLEAN NOT NULL DEFAULT FALSE,
    allow_operator_llm BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- A browser's login: read, like api_keys, before the user is known. A revoked key ends its sessions.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    key_hash TEXT NOT NULL REFERENCES api_keys (key_hash) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_key ON sessions (key_hash);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Who runs: a process renews its row; turns whose owner has no valid row may be adopted.
CREATE TABLE leases (
    owner TEXT PRIMARY KEY,
    lease_until TIMESTAMPTZ NOT NULL
);

CREATE TABLE threads (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    title TEXT,
    agent TEXT NOT NULL DEFAULT 'cos',
    skill TEXT,
    model_provider TEXT,
    total_input_tokens BIGINT NOT NULL DEFAULT 0,
    total_output_tokens BIGINT NOT NULL DEFAULT 0,
    message_seq BIGINT NOT NULL DEFAULT 0, -- of the newest message
    turn_seq BIGINT NOT NULL DEFAULT 0,    -- position of the newest turn
    forked_from TEXT,
    archived_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX threads_by_update ON threads (user_id, updated_at, id);

CREATE TABLE turns (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'running', 'interrupted', 'done', 'failed', 'cancelled')),
    input TEXT NOT NULL,               -- JSON: the message and the options it came with
    lease_owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,   -- grows with every change of owner: the fence
    step BIGINT NOT NULL DEFAULT 0,    -- grows with every transaction of the turn
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    error_code TEXT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX turns_by_thread ON turns (user_id, thread_id, position);
CREATE UNIQUE INDEX turns_one_running ON turns (user_id, thread_id) WHERE state = 'running';
CREATE INDEX turns_open ON turns (state, lease_owner) WHERE state IN ('queued', 'running');

CREATE TABLE messages (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    thread_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
    plain BOOLEAN NOT NULL,            -- may be sent to every provider as it is
    content TEXT NOT NULL,             -- canonical JSON of the whole message
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, thread_id, seq),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);

CREATE TABLE checkpoints (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    thread_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position BIGINT NOT NULL,          -- the turn's
    node TEXT NOT NULL,                -- which runs next
    message_seq BIGINT NOT NULL,       -- the newest message it includes
    state TEXT NOT NULL,               -- JSON, small: counters and pending calls
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, thread_id, turn_id),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);

-- The journal of tool calls: the intent is written before the call, the outcome after it.
CREATE TABLE effects (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    turn_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    repeatable BOOLEAN NOT NULL,       -- read-only or idempotent
    state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed', 'unknown')),
    outcome TEXT,                      -- the canonical tool message
    created_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, turn_id, call_id),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);
CREATE INDEX effects_by_thread ON effects (user_id, thread_id);

-- What a turn streamed, a row a step, kept while somebody may come back for it.
CREATE TABLE events (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    turn_id TEXT NOT NULL,
    last_seq BIGINT NOT NULL,
    thread_id TEXT NOT NULL,
    payload TEXT NOT NULL,             -- lines "<seq> <event>"
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, turn_id, last_seq),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);
CREATE INDEX events_by_age ON events (created_at);
CREATE INDEX events_by_thread ON events (user_id, thread_id);

CREATE TABLE usage (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    key_owner TEXT NOT NULL CHECK (key_owner IN ('operator', 'user')),
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX usage_by_age ON usage (user_id, created_at);

-- Ids of turns that any process may take: running ones whose owner is gone, queued ones whose thread is free.
-- On PostgreSQL the view reads as adjutant_system, past the users' fences, and shows ids only.
CREATE VIEW open_turns AS
SELECT t.user_id, t.id AS turn_id, t.thread_id, t.state, t.lease_owner, l.lease_until
FROM turns t LEFT JOIN leases l ON l.owner = t.lease_owner
WHERE t.state IN ('queued', 'running');

-- Ids of event rows' turns by age, for the sweeper.
CREATE VIEW event_ages AS
SELECT e.user_id, e.turn_id, e.last_seq, e.created_at FROM events e;

--@postgresql
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'threads', 'turns', 'messages', 'checkpoints', 'effects',
                                'events', 'usage'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON %I USING (user_id = current_setting(''app.user_id'')::text)'
                       ' WITH CHECK (user_id = current_setting(''app.user_id'')::text)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO adjutant_gateway', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, sessions, leases TO adjutant_gateway;
GRANT SELECT ON turns, events, leases TO adjutant_system;
CREATE POLICY system_reads ON turns FOR SELECT TO adjutant_system USING (TRUE);
CREATE POLICY system_reads ON events FOR SELECT TO adjutant_system USING (TRUE);
GRANT CREATE ON SCHEMA public TO adjutant_system;
ALTER VIEW open_turns OWNER TO adjutant_system;
ALTER VIEW event_ages OWNER TO adjutant_system;
REVOKE CREATE ON SCHEMA public FROM adjutant_system;
GRANT SELECT ON open_turns, event_ages TO adjutant_gateway;
--@end
