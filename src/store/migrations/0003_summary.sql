-- What stands for a thread's oldest messages in the prompt. The messages themselves stay.
ALTER TABLE threads ADD COLUMN summary TEXT;
ALTER TABLE threads ADD COLUMN summary_seq BIGINT NOT NULL DEFAULT 0; -- the newest message it covers
