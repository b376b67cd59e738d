-- Reports that are filed here, duplicates of one another, and photos. Called by the triggers
-- of 2_events.sql, or through row-level security.

-- A report that is filed here lies where its point lies and gets the next number of its
-- territory's year, whatever the client says. Of areas that overlap, the smallest has it, as
-- in geo/locate.py. The number is drawn under a lock of the row that holds it, so a filing
-- that is undone leaves no gap.
CREATE OR REPLACE FUNCTION rasd_filed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a record;
  ground geometry;
  zone text;
  year text;
  drawn bigint;
BEGIN
  SELECT t.study_area, t.timezone INTO ground, zone FROM territory t WHERE t.id = NEW.territory_id;
  IF NEW.geom IS NULL OR NEW.cell IS NULL THEN
    RAISE EXCEPTION 'a report that is filed here needs its point' USING ERRCODE = 'RS400';
  END IF;
  NEW.status := 1;
  NEW.status_at := NULL;
  NEW.closed_at := NULL;
  NEW.duplicate_of := NULL;
  NEW.opened_at := clock_timestamp();
  NEW.precision := 2;
  NEW.flags := 0;
  NEW.region_id := NULL; NEW.amana_id := NULL; NEW.governorate_id := NULL;
  NEW.municipality_id := NULL; NEW.district_id := NULL;
  FOR a IN SELECT id, level FROM area WHERE territory_id = NEW.territory_id AND valid_to IS NULL
             AND ST_Covers(geom, NEW.geom) ORDER BY ST_Area(geom) DESC, id DESC LOOP
    CASE a.level
      WHEN 'region' THEN NEW.region_id := a.id;
      WHEN 'amana' THEN NEW.amana_id := a.id;
      WHEN 'governorate' THEN NEW.governorate_id := a.id;
      WHEN 'municipality' THEN NEW.municipality_id := a.id;
      WHEN 'district' THEN NEW.district_id := a.id;
    END CASE;
  END LOOP;
  IF ground IS NOT NULL AND NOT ST_Covers(ground, NEW.geom) THEN
    -- As the ingest has it: 2 km outside are kept with a flag (NEAR_BOUNDARY), farther is refused.
    -- Borders are straight in degrees (geo/locate.py); on the ellipsoid long ones would bulge.
    IF NOT ST_DWithin(ST_Segmentize(ground, 0.05)::geography, NEW.geom::geography, 2000) THEN
      RAISE EXCEPTION 'the point lies more than 2 km outside the study area' USING ERRCODE = 'RS400';
    END IF;
    NEW.flags := 2;
  END IF;
  IF rasd_principal_id() IS NOT NULL OR NEW.reference = '' THEN
    INSERT INTO source (territory_id, code, title) VALUES (NEW.territory_id, 'rasd', 'Rasd')
      ON CONFLICT (territory_id, code) DO NOTHING;
    SELECT id INTO NEW.source_id FROM source WHERE territory_id = NEW.territory_id AND code = 'rasd';
    year := to_char(NEW.opened_at AT TIME ZONE zone, 'YYYY');
    INSERT INTO store_note (key, value) VALUES (format('filed %s %s', NEW.territory_id, year), '1')
      ON CONFLICT (key) DO UPDATE SET value = (store_note.value::bigint + 1)::text
      RETURNING value INTO drawn;
    NEW.reference := format('R-%s-%s', year, lpad(drawn::text, greatest(6, length(drawn::text)), '0'));
  END IF;
  RETURN NEW;
END $$;

DROP TRIGGER IF EXISTS rasd_filed ON report;
CREATE TRIGGER rasd_filed BEFORE INSERT ON report
  FOR EACH ROW WHEN (NEW.batch_id IS NULL) EXECUTE FUNCTION rasd_filed();

-- Whether a report filed at this point would be open to the user, before it is filed.
CREATE OR REPLACE FUNCTION rasd_may_file(territory smallint, areas integer[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT $1 = ANY (rasd_territories()) OR $2 && rasd_areas()
$$;

-- Both reports of a pair are locked in one order, so that two people who call them duplicates
-- of each other at once make no circle: the second waits, and is then refused.
CREATE OR REPLACE FUNCTION rasd_lock_pair(report bigint, other jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF jsonb_typeof($2) = 'number' AND $2::text ~ '^[0-9]{1,18}$' THEN
    PERFORM FROM report r WHERE r.id IN ($1, $2::text::bigint) ORDER BY r.id FOR UPDATE;
  END IF;
END $$;

-- Who follows a duplicate is a follower of its root, once; a second row of the same person
-- stays where they followed, so that nothing is lost when reports part again.
CREATE OR REPLACE FUNCTION rasd_settle_followers(root bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
  WITH moving AS (
    SELECT DISTINCT ON (f.principal_id) f.report_id, f.principal_id FROM report_follower f
    WHERE f.report_id IN (SELECT r.id FROM report r WHERE r.duplicate_of = $1)
      AND NOT EXISTS (SELECT FROM report_follower o WHERE o.report_id = $1 AND o.principal_id = f.principal_id)
    ORDER BY f.principal_id, f.since, f.report_id)
  UPDATE report_follower f SET report_id = $1, first_report_id = f.report_id
  FROM moving m WHERE f.report_id = m.report_id AND f.principal_id = m.principal_id;
$$;

-- Followers that came with duplicates go back to them, before it is settled anew.
CREATE OR REPLACE FUNCTION rasd_return_followers(root bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE report_follower SET report_id = first_report_id, first_report_id = NULL
  WHERE report_id = $1 AND first_report_id IS NOT NULL;
$$;

-- A report becomes a duplicate of another: its own duplicates point to the same root, so that
-- there is never a chain, and its followers go along.
CREATE OR REPLACE FUNCTION rasd_link_duplicate(report bigint, root bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT rasd_return_followers($1);
  UPDATE report SET duplicate_of = $2 WHERE duplicate_of = $1;
  SELECT rasd_settle_followers($2);
$$;

-- A reopened report stands by itself again: what was said to repeat it, directly or through
-- another, points to it again, and who followed any of them follows it again.
CREATE OR REPLACE FUNCTION rasd_unlink_duplicate(report bigint, root bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM rasd_return_followers($2);
  WITH RECURSIVE said AS (
    -- What each duplicate of the root was last called a duplicate of.
    SELECT r.id, (SELECT (e.detail->>'of')::bigint FROM report_event e
                  WHERE e.report_id = r.id AND e.action = 11 ORDER BY e.seq DESC LIMIT 1) AS first
    FROM report r WHERE r.duplicate_of = $2 AND r.id <> $1
  ), found AS (
    SELECT $1 AS id UNION SELECT said.id FROM said JOIN found ON said.first = found.id
  )
  UPDATE report r SET duplicate_of = $1 FROM found WHERE r.id = found.id AND r.id <> $1;
  PERFORM rasd_settle_followers($2);
  PERFORM rasd_settle_followers($1);
END $$;

-- Photos that the user has stored in the last 24 hours, wherever their reports are now.
CREATE OR REPLACE FUNCTION rasd_photos_today() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(*) FROM photo
  WHERE principal_id = rasd_principal_id() AND stored_at > now() - interval '24 hours'
$$;
