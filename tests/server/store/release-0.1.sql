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
INSERT INTO "latest_updates" VALUES('pi-1',7,10,'{"loss_before": 2.0}',0.5,0.25,3.0,X'0000404000008040');
INSERT INTO "latest_updates" VALUES('pi-2',5,8,'{}',NULL,NULL,NULL,NULL);
CREATE TABLE meta (
	name VARCHAR(63) NOT NULL,
	value JSON,
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema',1);
INSERT INTO "meta" VALUES('graph','["climate", "abababababababababababababababababababababababababababababababab"]');
INSERT INTO "meta" VALUES('cycle',3);
INSERT INTO "meta" VALUES('world','{"generated": 500}');
INSERT INTO "meta" VALUES('last_round',8);
CREATE TABLE models (
	round INTEGER NOT NULL,
	weights BLOB NOT NULL,
	PRIMARY KEY (round)
);
INSERT INTO "models" VALUES(5,X'000000800000C07F');
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
INSERT INTO "readings" VALUES(1,1764190000.125,21.5);
INSERT INTO "readings" VALUES(1,1764190001.25,NULL);
INSERT INTO "readings" VALUES(1,1764190002.5,0.1);
INSERT INTO "readings" VALUES(2,1764190000.125,40.0);
INSERT INTO "readings" VALUES(2,1764190001.25,41.0);
INSERT INTO "readings" VALUES(2,1764190002.5,42.0);
INSERT INTO "readings" VALUES(3,1764190000.125,21.5);
INSERT INTO "readings" VALUES(3,1764190001.25,NULL);
INSERT INTO "readings" VALUES(3,1764190002.5,0.1);
INSERT INTO "readings" VALUES(4,1764190000.125,40.0);
INSERT INTO "readings" VALUES(4,1764190001.25,41.0);
INSERT INTO "readings" VALUES(4,1764190002.5,42.0);
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
INSERT INTO "rounds" VALUES(5,'committed',NULL,60.0,64.0,2,2,'{"loss_before": 4.0, "loss_after": 0.1}');
INSERT INTO "rounds" VALUES(6,'abandoned','0 of 2 clients answered',80.0,90.0,2,0,'{}');
INSERT INTO "rounds" VALUES(7,'committed',NULL,100.0,102.0,1,1,'{"loss_before": 2.0}');
INSERT INTO "rounds" VALUES(8,'running',NULL,1764190000.125,NULL,1,0,'{}');
CREATE TABLE series (
	id INTEGER NOT NULL,
	client VARCHAR(63) NOT NULL,
	channel VARCHAR(63) NOT NULL,
	unit VARCHAR(20) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (client, channel)
);
INSERT INTO "series" VALUES(1,'pi-1','temperature','°C');
INSERT INTO "series" VALUES(2,'pi-1','humidity','%');
INSERT INTO "series" VALUES(3,'zoë-2','temperature','°C');
INSERT INTO "series" VALUES(4,'zoë-2','humidity','%');
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
INSERT INTO "updates" VALUES(5,'pi-1',60.5,60.75,61.0,62.0,63.0,2147483647,7,4.0,0.1,1.5,1.0e-300,9,0.25,-1.0,1.0e+17,NULL);
INSERT INTO "updates" VALUES(5,'pi-2',60.5,60.75,61.0,63.0,64.0,2147483647,8,4.0,0.1,1.5,1.0e-300,9,0.25,-1.0,1.0e+17,NULL);
INSERT INTO "updates" VALUES(6,'pi-1',80.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "updates" VALUES(6,'pi-2',80.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'it said: „kein Platz“; ''x''');
INSERT INTO "updates" VALUES(7,'pi-1',100.5,NULL,NULL,NULL,101.0,NULL,10,2.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "updates" VALUES(8,'pi-1',1764190000.25,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
COMMIT;
