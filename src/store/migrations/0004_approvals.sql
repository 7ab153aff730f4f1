-- Approvals: what the user decided for good, and what stands open. A turn that must ask ends as 'interrupted'; each of
-- its questions is a row here. The answer begins a new turn of the thread.

CREATE TABLE tool_policies (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    server TEXT NOT NULL,              -- '': the built-in tools
    tool TEXT NOT NULL CHECK (tool <> ''), -- '*': all of the server
    policy TEXT NOT NULL CHECK (policy IN ('allow', 'ask', 'deny')),
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, server, tool)
);

-- Open while state is 'open', expires_at has not passed and its turn is the newest of the thread: whoever goes on
-- without answering has answered.
CREATE TABLE interrupts (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position BIGINT NOT NULL,          -- of the turn in its thread
    code TEXT NOT NULL,                -- short, for people who answer in words
    kind TEXT NOT NULL CHECK (kind IN ('approval', 'elicitation')),
    state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'denied')),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ,
    answered_by_turn TEXT,             -- the turn that goes on
    call_id TEXT NOT NULL,             -- as the model named it
    server TEXT NOT NULL,
    tool TEXT NOT NULL,                -- under its own name
    name TEXT NOT NULL,                -- as the model knows it
    digest TEXT NOT NULL,              -- SHA-256 of the arguments: what is approved is this call and no other
    arguments TEXT NOT NULL,
    request TEXT NOT NULL DEFAULT '{}', -- JSON: what is asked (elicitation), and how the call goes on
    answer TEXT,                       -- JSON: edited arguments, or what was elicited
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);
CREATE INDEX interrupts_by_thread ON interrupts (thread_id, user_id);
CREATE INDEX interrupts_by_turn ON interrupts (turn_id, user_id);
CREATE INDEX interrupts_open ON interrupts (state, user_id, created_at) WHERE state = 'open';

--@postgresql
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['tool_policies', 'interrupts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON %I USING (user_id = current_setting(''app.user_id'')::text)'
                       ' WITH CHECK (user_id = current_setting(''app.user_id'')::text)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO adjutant_gateway', name);
    END LOOP;
END $$;
--@end
