-- The spine: users, threads, messages, turns and what a turn leaves behind; keys and sessions.
-- Every key of user data begins with the user, so that a name one user chose means nothing to another.
-- A transaction that touches several rows of a thread writes the row in threads first: it is the thread's lock.

--@postgresql
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['adjutant_gateway', 'adjutant_system'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster is migrated at the same moment
            END;
        END IF;
        BEGIN
            EXECUTE format('GRANT %I TO CURRENT_USER', name);
        EXCEPTION WHEN insufficient_privilege OR unique_violation OR internal_error THEN
            -- Somebody else made the roles, or grants them right now. Membership is what counts.
            IF NOT pg_has_role(CURRENT_USER, name, 'MEMBER') THEN
                RAISE;
            END IF;
        END;
    END LOOP;
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

-- A browser's login: read, like api_keys, before the user is known. A session ends with its key. The shared key of
-- an instance without SYSTEM_DB_URL has no row in api_keys, so there is no foreign key.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    key_hash TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_key ON sessions (key_hash, created_at);
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
    open_turns BIGINT NOT NULL DEFAULT 0 CHECK (open_turns >= 0), -- queued and running ones
    forked_from TEXT,
    archived_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,       -- when the newest turn was accepted
    PRIMARY KEY (user_id, id)
);
-- Partial, so that no planner takes them for a way to (user_id, id): see turns.
CREATE INDEX threads_shown ON threads (user_id, updated_at, id) WHERE archived_at IS NULL;
CREATE INDEX threads_archived ON threads (user_id, updated_at, id) WHERE archived_at IS NOT NULL;

CREATE TABLE turns (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'running', 'interrupted', 'done', 'failed', 'cancelled')),
    lease_owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,   -- grows with every change of owner: the fence
    step BIGINT NOT NULL DEFAULT 0,    -- grows with every transaction of the turn
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    error_code TEXT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,            -- when its present owner took it
    ended_at TIMESTAMPTZ,
    input TEXT NOT NULL,               -- JSON: the options it came with
    -- While it is queued: the message that gets its place in the thread when the turn begins.
    pending_id TEXT,
    pending_plain BOOLEAN,
    pending_message TEXT,
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);
-- These begin with the thread, so that no planner takes them for a way to (user_id, id): a plan made while the table
-- is empty would then read all of a user's turns.
CREATE UNIQUE INDEX turns_by_thread ON turns (thread_id, user_id, position);
CREATE UNIQUE INDEX turns_one_running ON turns (thread_id, user_id) WHERE state = 'running';
CREATE INDEX turns_open ON turns (thread_id, user_id, position) WHERE state IN ('queued', 'running');

CREATE TABLE messages (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    thread_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'tool')),
    plain BOOLEAN NOT NULL,            -- may be sent to every provider as it is
    bytes BIGINT NOT NULL,             -- of content, so that a budget is kept without reading it
    created_at TIMESTAMPTZ NOT NULL,
    content TEXT NOT NULL,             -- canonical JSON of the whole message
    PRIMARY KEY (user_id, thread_id, seq),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);

-- How far a turn came: a row a turn.
CREATE TABLE checkpoints (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    turn_id TEXT NOT NULL,
    node TEXT NOT NULL,                -- which runs next
    message_seq BIGINT NOT NULL,       -- the newest message it includes
    created_at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL,               -- JSON, small: counters and pending calls
    PRIMARY KEY (user_id, turn_id),
    FOREIGN KEY (user_id, turn_id) REFERENCES turns (user_id, id) ON DELETE CASCADE
);

-- The journal of tool calls: the intent is written before the call, the outcome after it.
CREATE TABLE effects (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    turn_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    tool TEXT NOT NULL,
    repeatable BOOLEAN NOT NULL,       -- read-only or idempotent
    state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed', 'unknown')),
    created_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    arguments TEXT NOT NULL,
    outcome TEXT,                      -- the canonical tool message
    PRIMARY KEY (user_id, turn_id, call_id),
    FOREIGN KEY (user_id, turn_id) REFERENCES turns (user_id, id) ON DELETE CASCADE
);

-- What a turn streamed, a row a step, kept while somebody may come back for it.
CREATE TABLE events (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    turn_id TEXT NOT NULL,
    last_seq BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    payload TEXT NOT NULL,             -- lines "<seq> <event>"
    PRIMARY KEY (user_id, turn_id, last_seq),
    FOREIGN KEY (user_id, turn_id) REFERENCES turns (user_id, id) ON DELETE CASCADE
);
CREATE INDEX events_by_age ON events (created_at);

-- What was used and whose key paid; it outlives its thread.
CREATE TABLE usage (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    created_at TIMESTAMPTZ NOT NULL,
    turn_id TEXT NOT NULL,
    step BIGINT NOT NULL,
    thread_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    key_owner TEXT NOT NULL CHECK (key_owner IN ('operator', 'user')),
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    PRIMARY KEY (user_id, created_at, turn_id, step)
);

-- Ids of turns that any process may take: running ones whose owner is gone, queued ones whose thread is free.
-- On PostgreSQL the view reads as adjutant_system, past the users' fences, and shows ids only.
CREATE VIEW open_turns AS
SELECT t.user_id, t.id AS turn_id, t.thread_id, t.position, t.state, t.lease_owner, l.lease_until
FROM turns t LEFT JOIN leases l ON l.owner = t.lease_owner
WHERE t.state IN ('queued', 'running');

-- Which turns have old events, for the sweeper.
CREATE VIEW event_ages AS
SELECT e.user_id, e.turn_id, e.last_seq, e.created_at, t.ended_at
FROM events e JOIN turns t ON t.user_id = e.user_id AND t.id = e.turn_id;

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
                       ' WITH CHECK (user_id = current_setting(''app.user_id'')::text AND user_id <> '''')',
                       name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO adjutant_gateway', name);
    END LOOP;
    -- PostgreSQL parses a CHECK anew in every statement: an eighth of a turn's time. The policies say what matters,
    -- and what the rest says is tested where it costs nothing, on SQLite.
    FOR name IN
        SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
        WHERE contype = 'c' AND conrelid IN ('threads'::regclass, 'turns'::regclass, 'messages'::regclass,
                                             'checkpoints'::regclass, 'events'::regclass, 'usage'::regclass)
    LOOP
        EXECUTE name;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO adjutant_gateway', current_schema());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO adjutant_system', current_schema());
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, sessions, leases TO adjutant_gateway;
GRANT SELECT ON turns, events, leases TO adjutant_system;
CREATE POLICY system_reads ON turns FOR SELECT TO adjutant_system USING (TRUE);
CREATE POLICY system_reads ON events FOR SELECT TO adjutant_system USING (TRUE);
ALTER VIEW open_turns OWNER TO adjutant_system;
ALTER VIEW event_ages OWNER TO adjutant_system;
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM adjutant_system', current_schema());
END $$;
GRANT SELECT ON open_turns, event_ages TO adjutant_gateway;
GRANT SELECT ON schema_migrations TO adjutant_gateway; -- a server that may not migrate still looks
--@end
