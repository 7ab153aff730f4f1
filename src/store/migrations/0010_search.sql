-- What is searched: the words of messages. A turn does not write them; they follow when somebody searches, from
-- threads.indexed_seq on, so that what was said before this migration comes in like everything else.
ALTER TABLE threads ADD COLUMN indexed_seq BIGINT NOT NULL DEFAULT 0; -- the newest message that search_rows has

CREATE TABLE search_rows (
    --@sqlite
    number INTEGER PRIMARY KEY,        -- by which search_words names it
    --@end
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    thread_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    text TEXT NOT NULL,
    --@postgresql
    -- Punctuation is taken out first, as the query's is: else an address or a version would be one word. The user is a
    -- word of each row, so that the index looks at one user's rows only.
    words TSVECTOR GENERATED ALWAYS AS (
        to_tsvector('simple', translate(text, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                '))
        || array_to_tsvector(ARRAY['=' || user_id])) STORED,
    PRIMARY KEY (user_id, thread_id, seq),
    --@end
    --@sqlite
    UNIQUE (user_id, thread_id, seq),
    --@end
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
);

--@sqlite
-- Kept in step by those who write search_rows: the schema is not trusted, so a trigger may not touch a virtual table.
CREATE VIRTUAL TABLE search_words USING fts5(
    text, content = 'search_rows', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3');
--@end
--@postgresql
CREATE INDEX search_rows_words ON search_rows USING gin (words);
ALTER TABLE search_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE search_rows FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON search_rows USING (user_id = current_setting('app.user_id')::text)
    WITH CHECK (user_id = current_setting('app.user_id')::text);
GRANT SELECT, INSERT, UPDATE, DELETE ON search_rows TO adjutant_gateway;
-- Behind a policy's fence the planner may not use the index, as the match operator is not leakproof. This view is the same
-- fence in a form that lets it: it reads as adjutant_system and shows the rows of app.user_id only.
GRANT SELECT ON search_rows TO adjutant_system;
CREATE POLICY system_reads ON search_rows FOR SELECT TO adjutant_system USING (TRUE);
CREATE VIEW own_search_rows AS
SELECT user_id, thread_id, seq, message_id, role, created_at, text, words
FROM search_rows WHERE user_id = current_setting('app.user_id')::text AND user_id <> '';
DO $$
BEGIN
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO adjutant_system', current_schema());
    ALTER VIEW own_search_rows OWNER TO adjutant_system;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM adjutant_system', current_schema());
END $$;
GRANT SELECT ON own_search_rows TO adjutant_gateway;
--@end
