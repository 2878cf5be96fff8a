BEGIN TRANSACTION;
CREATE TABLE latest_updates (
	client VARCHAR(63) NOT NULL,
	round INTEGER NOT NULL,
	samples INTEGER NOT NULL,
	metrics JSON NOT NULL,
	update_norm FLOAT,
	cosine FLOAT,
	distance FLOAT,
	weights BLOB,
	PRIMARY KEY (client)
);
CREATE TABLE meta (
	name VARCHAR(63) NOT NULL,
	value JSON,
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema',1);
INSERT INTO "meta" VALUES('graph','["climate", "abababababababababababababababababababababababababababababababab"]');
INSERT INTO "meta" VALUES('last_round',7);
INSERT INTO "meta" VALUES('cycle',3);
CREATE TABLE models (
	round INTEGER NOT NULL,
	weights BLOB NOT NULL,
	PRIMARY KEY (round)
);
INSERT INTO "models" VALUES(7,X'0000803F00000040');
CREATE TABLE readings (
	series INTEGER NOT NULL,
	t FLOAT NOT NULL,
	value FLOAT,
	PRIMARY KEY (series, t),
	FOREIGN KEY(series) REFERENCES series (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE rounds (
	round INTEGER NOT NULL,
	state VARCHAR(10) NOT NULL,
	reason VARCHAR(500),
	started FLOAT NOT NULL,
	ended FLOAT,
	selected INTEGER NOT NULL,
	updates INTEGER NOT NULL,
	metrics JSON NOT NULL,
	PRIMARY KEY (round)
);
INSERT INTO "rounds" VALUES(7,'committed',NULL,100.0,102.0,1,1,'{"loss_before": 2.0}');
CREATE TABLE series (
	id INTEGER NOT NULL,
	client VARCHAR(63) NOT NULL,
	channel VARCHAR(63) NOT NULL,
	unit VARCHAR(20) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (client, channel)
);
CREATE TABLE updates (
	round INTEGER NOT NULL,
	client VARCHAR(63) NOT NULL,
	sent FLOAT,
	received FLOAT,
	train_start FLOAT,
	train_end FLOAT,
	replied FLOAT,
	bytes INTEGER,
	samples INTEGER,
	loss_before FLOAT,
	loss_after FLOAT,
	test_error FLOAT,
	test_baseline FLOAT,
	test_samples INTEGER,
	update_norm FLOAT,
	cosine FLOAT,
	distance FLOAT,
	reason VARCHAR(500),
	PRIMARY KEY (round, client),
	FOREIGN KEY(round) REFERENCES rounds (round) ON DELETE CASCADE
);
INSERT INTO "updates" VALUES(7,'pi-1',100.5,NULL,NULL,NULL,101.0,NULL,10,2.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
COMMIT;
