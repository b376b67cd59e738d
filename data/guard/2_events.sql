-- Steps of a report's life made in Rasd. The trigger holds them to the table transition
-- (data/life.py), fills in who and when, and brings the copies on the report up to date.
-- SQLSTATEs: RS409 somebody else wrote first, RS403 not allowed, RS400 something is missing
-- or wrong (data/actions.py turns them into errors).

CREATE OR REPLACE FUNCTION rasd_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  who principal%ROWTYPE;
  r record;
  step transition%ROWTYPE;
  d jsonb := coalesce(NEW.detail, '{}');
  last integer;
  fault text;
BEGIN
  SELECT * INTO who FROM principal WHERE id = rasd_principal_id();
  IF who.id IS NULL THEN
    RAISE EXCEPTION 'nobody is signed in' USING ERRCODE = 'RS403';
  END IF;
  IF d ? 'of' THEN
    PERFORM rasd_lock_pair(NEW.report_id, d->'of');
  END IF;
  SELECT id, territory_id, status, agency_id, contractor_id, duplicate_of,
    element_id, severity, quantity, rule_id, due_at INTO r
  -- What is closed to the user does not exist for them: no error tells its state.
  FROM report WHERE id = NEW.report_id AND {REPORT} FOR UPDATE;
  IF r.id IS NULL THEN
    RAISE EXCEPTION 'there is no such report' USING ERRCODE = 'RS403';
  END IF;
  SELECT coalesce(max(seq), 0) INTO last FROM report_event WHERE report_id = NEW.report_id;
  IF NEW.seq <> last + 1 THEN
    RAISE EXCEPTION 'the report has moved on' USING ERRCODE = 'RS409';
  END IF;
  SELECT * INTO step FROM transition WHERE action = NEW.action AND source = r.status;
  IF step.action IS NULL OR (step.action = 1 AND last <> 0) THEN
    RAISE EXCEPTION 'this step does not lead from status %', r.status USING ERRCODE = 'RS403';
  END IF;
  IF who.role <> ALL (step.roles) THEN
    RAISE EXCEPTION 'the role % may not do this', who.role USING ERRCODE = 'RS403';
  END IF;
  IF who.role = 'contractor' AND step.party IS NOT NULL AND
     who.party_id IS DISTINCT FROM (CASE step.party WHEN 'agency_id' THEN r.agency_id ELSE r.contractor_id END) THEN
    RAISE EXCEPTION 'the report is not this party''s' USING ERRCODE = 'RS403';
  END IF;
  fault := rasd_detail_fault(d, step.needs, step.offers, r.territory_id, NEW.report_id);
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION '%', fault USING ERRCODE = 'RS400';
  END IF;
  IF step.action = 12 AND (SELECT kind FROM party WHERE id = (d->>'agency_id')::int) <> 'entity' THEN
    RAISE EXCEPTION 'agency_id: a report is referred to an external entity' USING ERRCODE = 'RS400';
  END IF;
  NEW.batch_id := NULL;
  NEW.actor_id := who.id;
  NEW.at := clock_timestamp();
  NEW.recorded_at := NEW.at;
  NEW.status := coalesce(step.target, r.status);
  NEW.detail := d || rasd_replaced(d, to_jsonb(r));
  UPDATE report SET
    status = NEW.status,
    status_at = CASE WHEN step.target IS NULL THEN status_at ELSE NEW.at END,
    -- 7 closed, 8 rejected, 9 duplicate, 10 referred: data.vocabulary.FINAL.
    closed_at = CASE WHEN step.target IS NULL THEN closed_at
                     WHEN step.target IN (7, 8, 9, 10) THEN NEW.at END,
    element_id = coalesce((d->>'element_id')::smallint, element_id),
    severity = coalesce((d->>'severity')::smallint, severity),
    quantity = coalesce((d->>'quantity')::double precision, quantity),
    agency_id = coalesce((d->>'agency_id')::integer, agency_id),
    contractor_id = coalesce((d->>'contractor_id')::integer, contractor_id),
    -- A rule speaks of the owner that comes with it: a new owner without a rule has none.
    rule_id = CASE WHEN d ? 'rule_id' THEN (d->>'rule_id')::integer WHEN d ? 'agency_id' THEN NULL ELSE rule_id END,
    due_at = coalesce((d->>'due_at')::timestamptz, due_at),
    duplicate_of = CASE WHEN step.action = 11 THEN (d->>'of')::bigint
                        WHEN step.action = 17 THEN NULL ELSE duplicate_of END
  WHERE id = NEW.report_id;
  IF step.action = 11 THEN
    PERFORM rasd_link_duplicate(NEW.report_id, (d->>'of')::bigint);
  ELSIF step.action = 17 AND r.duplicate_of IS NOT NULL THEN
    PERFORM rasd_unlink_duplicate(NEW.report_id, r.duplicate_of);
  END IF;
  RETURN NEW;
END $$;

-- What a step replaces on the report, kept with it under "before", so that a past moment can
-- be told although the report itself holds only the present (data/past.py); {} for nothing.
CREATE OR REPLACE FUNCTION rasd_replaced(d jsonb, r jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN count(*) = 0 THEN '{}' ELSE jsonb_build_object('before', jsonb_object_agg(k, r->k)) END
  FROM unnest(ARRAY['element_id', 'severity', 'quantity', 'agency_id', 'contractor_id', 'rule_id', 'due_at']) k
  WHERE d ? k OR (k = 'rule_id' AND d ? 'agency_id')
$$;

-- What is wrong with an event's detail, in a sentence; NULL when nothing is.
CREATE OR REPLACE FUNCTION rasd_detail_fault(
  d jsonb, needs text[], offers text[], territory smallint, report bigint
) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  key text;
  root record;
BEGIN
  IF jsonb_typeof(d) <> 'object' THEN
    RETURN 'the detail is not an object';
  END IF;
  FOREACH key IN ARRAY needs LOOP
    IF d->key IS NULL OR d->key IN ('null', '[]') OR btrim(coalesce(d->>key, '')) = '' THEN
      RETURN key || ': is needed';
    END IF;
  END LOOP;
  SELECT k INTO key FROM jsonb_object_keys(d) k WHERE k <> ALL (needs || offers) LIMIT 1;
  IF key IS NOT NULL THEN
    RETURN key || ': is not part of this step';
  END IF;
  FOR key IN SELECT k FROM jsonb_object_keys(d) k WHERE k IN ('reason', 'note', 'violation') LOOP
    IF jsonb_typeof(d->key) <> 'string' OR length(d->>key) > 4000 THEN
      RETURN key || ': is a text of at most 4,000 characters';
    END IF;
  END LOOP;
  FOR key IN SELECT k FROM jsonb_object_keys(d) k
    WHERE k IN ('element_id', 'severity', 'agency_id', 'contractor_id', 'rule_id', 'of') LOOP
    IF jsonb_typeof(d->key) <> 'number' OR d->>key !~ '^[0-9]{1,18}$' THEN
      RETURN key || ': is a whole number';
    END IF;
  END LOOP;
  IF d ? 'severity' AND (d->>'severity')::bigint NOT BETWEEN 1 AND 5 THEN
    RETURN 'severity: is from 1 to 5';
  END IF;
  IF d ? 'quantity' AND (jsonb_typeof(d->'quantity') <> 'number' OR (d->>'quantity')::numeric <= 0
                         OR (d->>'quantity')::numeric > 1e9) THEN
    RETURN 'quantity: is a number above 0';
  END IF;
  IF d ? 'due_at' AND (jsonb_typeof(d->'due_at') <> 'string'
      OR d->>'due_at' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$') THEN
    RETURN 'due_at: is a time with its zone, as in 2026-11-30T12:00:00+03:00';
  END IF;
  IF d ? 'element_id' AND NOT EXISTS (SELECT FROM element WHERE id = (d->>'element_id')::bigint) THEN
    RETURN 'element_id: there is no such element';
  END IF;
  FOR key IN SELECT k FROM jsonb_object_keys(d) k WHERE k IN ('agency_id', 'contractor_id') LOOP
    IF NOT EXISTS (SELECT FROM party
                   WHERE id = (d->>key)::bigint AND territory_id = territory AND active) THEN
      RETURN key || ': there is no such party here';
    END IF;
  END LOOP;
  IF d ? 'rule_id' AND NOT EXISTS (SELECT FROM routing_rule
      WHERE id = (d->>'rule_id')::bigint AND territory_id = territory
        AND (NOT d ? 'agency_id' OR party_id = (d->>'agency_id')::bigint)) THEN
    RETURN 'rule_id: there is no such rule for this party';
  END IF;
  IF d ? 'photos' THEN
    IF jsonb_typeof(d->'photos') <> 'array' OR jsonb_array_length(d->'photos') > 20 THEN
      RETURN 'photos: is a list of at most 20 digests';
    END IF;
    IF EXISTS (SELECT FROM jsonb_array_elements_text(d->'photos') p
               WHERE NOT EXISTS (SELECT FROM photo WHERE digest = p AND report_id = report)) THEN
      RETURN 'photos: one of them is not stored with this report';
    END IF;
  END IF;
  IF d ? 'of' THEN
    SELECT t.id, t.duplicate_of, t.territory_id INTO root FROM report t WHERE t.id = (d->>'of')::bigint;
    IF root.id IS NULL OR root.territory_id <> territory OR root.id = report THEN
      RETURN 'of: there is no such report here';
    ELSIF root.duplicate_of IS NOT NULL THEN
      RETURN 'of: that report is a duplicate itself; name the one that it repeats';
    END IF;
  END IF;
  RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS rasd_event ON report_event;
CREATE TRIGGER rasd_event BEFORE INSERT ON report_event
  FOR EACH ROW WHEN (NEW.batch_id IS NULL) EXECUTE FUNCTION rasd_event();

-- Who acted on a report that is open to the user (who else there is stays closed). A
-- contractor and a viewer learn the roles, not the names. {REPORT} is the policy's condition.
CREATE OR REPLACE FUNCTION rasd_actors(report bigint)
RETURNS TABLE (id integer, name text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT p.id,
    CASE WHEN current_setting('role') IN ('rasd_contractor', 'rasd_viewer') THEN '' ELSE p.name END, p.role
  FROM report_event e JOIN principal p ON p.id = e.actor_id
  WHERE e.report_id = $1 AND EXISTS (SELECT FROM report WHERE report.id = $1 AND {REPORT})
$$;
