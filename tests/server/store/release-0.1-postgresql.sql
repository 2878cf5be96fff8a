CREATE TABLE public.latest_updates (
    client character varying(63) NOT NULL,
    round integer NOT NULL,
    samples integer NOT NULL,
    metrics json NOT NULL,
    update_norm double precision,
    cosine double precision,
    distance double precision,
    weights bytea
);
CREATE TABLE public.meta (
    name character varying(63) NOT NULL,
    value json
);
CREATE TABLE public.models (
    round integer NOT NULL,
    weights bytea NOT NULL
);
CREATE TABLE public.readings (
    series integer NOT NULL,
    t double precision NOT NULL,
    value double precision
);
CREATE TABLE public.rounds (
    round integer NOT NULL,
    state character varying(10) NOT NULL,
    reason character varying(500),
    started double precision NOT NULL,
    ended double precision,
    selected integer NOT NULL,
    updates integer NOT NULL,
    metrics json NOT NULL
);
CREATE TABLE public.series (
    id integer NOT NULL,
    client character varying(63) NOT NULL,
    channel character varying(63) NOT NULL,
    unit character varying(20) NOT NULL
);
CREATE SEQUENCE public.series_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.series_id_seq OWNED BY public.series.id;
CREATE TABLE public.updates (
    round integer NOT NULL,
    client character varying(63) NOT NULL,
    sent double precision,
    received double precision,
    train_start double precision,
    train_end double precision,
    replied double precision,
    bytes integer,
    samples integer,
    loss_before double precision,
    loss_after double precision,
    test_error double precision,
    test_baseline double precision,
    test_samples integer,
    update_norm double precision,
    cosine double precision,
    distance double precision,
    reason character varying(500)
);
ALTER TABLE ONLY public.series ALTER COLUMN id SET DEFAULT nextval('public.series_id_seq'::regclass);
INSERT INTO public.latest_updates VALUES ('pi-1', 7, 10, '{"loss_before": 2.0}', 0.5, 0.25, 3, '\x0000404000008040');
INSERT INTO public.latest_updates VALUES ('pi-2', 5, 8, '{}', NULL, NULL, NULL, NULL);
INSERT INTO public.meta VALUES ('schema', '1');
INSERT INTO public.meta VALUES ('graph', '["climate", "abababababababababababababababababababababababababababababababab"]');
INSERT INTO public.meta VALUES ('cycle', '3');
INSERT INTO public.meta VALUES ('world', '{"generated": 500}');
INSERT INTO public.meta VALUES ('last_round', '8');
INSERT INTO public.models VALUES (5, '\x000000800000c07f');
INSERT INTO public.models VALUES (7, '\x0000803f00000040');
INSERT INTO public.readings VALUES (1, 1764190000.125, 21.5);
INSERT INTO public.readings VALUES (1, 1764190001.25, NULL);
INSERT INTO public.readings VALUES (1, 1764190002.5, 0.1);
INSERT INTO public.readings VALUES (2, 1764190000.125, 40);
INSERT INTO public.readings VALUES (2, 1764190001.25, 41);
INSERT INTO public.readings VALUES (2, 1764190002.5, 42);
INSERT INTO public.readings VALUES (3, 1764190000.125, 21.5);
INSERT INTO public.readings VALUES (3, 1764190001.25, NULL);
INSERT INTO public.readings VALUES (3, 1764190002.5, 0.1);
INSERT INTO public.readings VALUES (4, 1764190000.125, 40);
INSERT INTO public.readings VALUES (4, 1764190001.25, 41);
INSERT INTO public.readings VALUES (4, 1764190002.5, 42);
INSERT INTO public.rounds VALUES (5, 'committed', NULL, 60, 64, 2, 2, '{"loss_before": 4.0, "loss_after": 0.1}');
INSERT INTO public.rounds VALUES (6, 'abandoned', '0 of 2 clients answered', 80, 90, 2, 0, '{}');
INSERT INTO public.rounds VALUES (7, 'committed', NULL, 100, 102, 1, 1, '{"loss_before": 2.0}');
INSERT INTO public.rounds VALUES (8, 'running', NULL, 1764190000.125, NULL, 1, 0, '{}');
INSERT INTO public.series VALUES (1, 'pi-1', 'temperature', '°C');
INSERT INTO public.series VALUES (2, 'pi-1', 'humidity', '%');
INSERT INTO public.series VALUES (3, 'zoë-2', 'temperature', '°C');
INSERT INTO public.series VALUES (4, 'zoë-2', 'humidity', '%');
INSERT INTO public.updates VALUES (5, 'pi-1', 60.5, 60.75, 61, 62, 63, 2147483647, 7, 4, 0.1, 1.5, 1e-300, 9, 0.25, -1, 1e+17, NULL);
INSERT INTO public.updates VALUES (5, 'pi-2', 60.5, 60.75, 61, 63, 64, 2147483647, 8, 4, 0.1, 1.5, 1e-300, 9, 0.25, -1, 1e+17, NULL);
INSERT INTO public.updates VALUES (6, 'pi-1', 80.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.updates VALUES (6, 'pi-2', 80.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'it said: „kein Platz“; ''x''');
INSERT INTO public.updates VALUES (7, 'pi-1', 100.5, NULL, NULL, NULL, 101, NULL, 10, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.updates VALUES (8, 'pi-1', 1764190000.25, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT pg_catalog.setval('public.series_id_seq', 4, true);
ALTER TABLE ONLY public.latest_updates
    ADD CONSTRAINT latest_updates_pkey PRIMARY KEY (client);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (round);
ALTER TABLE ONLY public.readings
    ADD CONSTRAINT readings_pkey PRIMARY KEY (series, t);
ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT rounds_pkey PRIMARY KEY (round);
ALTER TABLE ONLY public.series
    ADD CONSTRAINT series_client_channel_key UNIQUE (client, channel);
ALTER TABLE ONLY public.series
    ADD CONSTRAINT series_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.updates
    ADD CONSTRAINT updates_pkey PRIMARY KEY (round, client);
ALTER TABLE ONLY public.readings
    ADD CONSTRAINT readings_series_fkey FOREIGN KEY (series) REFERENCES public.series(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.updates
    ADD CONSTRAINT updates_round_fkey FOREIGN KEY (round) REFERENCES public.rounds(round) ON DELETE CASCADE;
