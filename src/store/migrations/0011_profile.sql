-- Who users say they are: what their assistant is told at every turn.

CREATE TABLE user_profiles (
    user_id TEXT PRIMARY KEY CHECK (user_id <> ''),
    name TEXT,
    time_zone TEXT,                    -- IANA, "Europe/Vienna"
    about TEXT,                        -- Markdown
    updated_at TIMESTAMPTZ NOT NULL
);

--@postgresql
ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_profiles FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON user_profiles USING (user_id = current_setting('app.user_id')::text)
    WITH CHECK (user_id = current_setting('app.user_id')::text);
GRANT SELECT, INSERT, UPDATE, DELETE ON user_profiles TO adjutant_gateway;
--@end
