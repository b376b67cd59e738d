-- What pages need of the owner's tables, one narrow function each, and the audit trail of
-- what people change by hand.

-- Whether a command of the store's owner is running. That nobody is signed in does not say so:
-- the login role of the pages can come without a session.
CREATE OR REPLACE FUNCTION rasd_is_owner() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT current_setting('role') = 'none' AND pg_has_role(session_user,
    (SELECT relowner FROM pg_class WHERE oid = 'public.report'::regclass), 'MEMBER')
$$;

-- Whether any file with a sender's column was ever taken in. The key itself stays closed.
CREATE OR REPLACE FUNCTION rasd_has_reporters() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM public.store_note WHERE key = 'reporter_secret')
$$;

-- Visits were written: screens look anew. They touch neither reports nor incidents, so the
-- incidents and the packed columns of the version before serve the new one too.
CREATE OR REPLACE FUNCTION rasd_visited(territory integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  version bigint;
BEGIN
  IF NOT (rasd_is_owner() OR territory = ANY (rasd_some_territories())) THEN
    RAISE EXCEPTION 'permission denied for this territory' USING ERRCODE = '42501';
  END IF;
  UPDATE territory SET data_version = data_version + 1 WHERE id = $1 RETURNING data_version INTO version;
  UPDATE incident_run SET data_version = version WHERE territory_id = $1 AND data_version = version - 1;
  UPDATE report_column SET data_version = version WHERE territory_id = $1 AND data_version = version - 1;
  RETURN version;
END $$;

-- Who wrote a row of a campaign, or a visit: who is signed in, whatever the client says.
CREATE OR REPLACE FUNCTION rasd_actor() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  NEW.actor_id := rasd_principal_id();
  RETURN NEW;
END $$;

DROP TRIGGER IF EXISTS rasd_actor ON campaign;
CREATE TRIGGER rasd_actor BEFORE INSERT ON campaign FOR EACH ROW EXECUTE FUNCTION rasd_actor();
DROP TRIGGER IF EXISTS rasd_actor ON campaign_event;
CREATE TRIGGER rasd_actor BEFORE INSERT ON campaign_event FOR EACH ROW EXECUTE FUNCTION rasd_actor();
DROP TRIGGER IF EXISTS rasd_actor ON campaign_version;
CREATE TRIGGER rasd_actor BEFORE INSERT ON campaign_version FOR EACH ROW EXECUTE FUNCTION rasd_actor();
DROP TRIGGER IF EXISTS rasd_actor ON visit;
CREATE TRIGGER rasd_actor BEFORE INSERT OR UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION rasd_actor();

-- Names of who took a campaign through its course, for those to whom the campaign is open.
CREATE OR REPLACE FUNCTION rasd_campaign_actors(campaign integer)
RETURNS TABLE (id integer, name text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT p.id, p.name, p.role FROM public.principal p
  JOIN (SELECT actor_id FROM public.campaign_event WHERE campaign_id = $1
        UNION SELECT actor_id FROM public.campaign_version WHERE campaign_id = $1) a ON a.actor_id = p.id
  WHERE rasd_is_owner() OR EXISTS (
    SELECT FROM public.campaign c WHERE c.id = $1 AND (c.territory_id = ANY (rasd_whole_territories())
      OR c.territory_id = ANY (rasd_some_territories()) AND c.actor_id = rasd_principal_id()))
$$;

-- One line of the trail a statement, with at most 20 of the rows it touched. A load by a
-- command is one line too. Sessions, tries and the trail itself are not watched.
CREATE OR REPLACE FUNCTION rasd_trail() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  who principal%ROWTYPE;
  n bigint;
  sample jsonb;
BEGIN
  SELECT count(*), jsonb_agg(line) FILTER (WHERE nr <= 20) INTO n, sample FROM (
    -- Plans are documents of many pages: their digest says which one it was.
    SELECT to_jsonb(t) - 'document' - 'digest' AS line, row_number() OVER () AS nr FROM touched t
  ) rows;
  IF n = 0 THEN
    RETURN NULL;
  END IF;
  SELECT * INTO who FROM principal WHERE id = rasd_principal_id();
  INSERT INTO audit (principal_id, login, role, action, object, detail) VALUES (
    who.id, coalesce(who.login, session_user), coalesce(who.role, 'command'), lower(TG_OP), TG_TABLE_NAME,
    jsonb_build_object('rows', n, 'sample', sample)
  );
  RETURN NULL;
END $$;

DO $$
DECLARE
  t text;
  verb text;
BEGIN
  FOREACH t IN ARRAY ARRAY['routing_rule', 'target', 'campaign_version', 'campaign_event', 'pack',
                           'principal', 'principal_area', 'api_key'] LOOP
    FOREACH verb IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
      EXECUTE format('DROP TRIGGER IF EXISTS rasd_trail_%s ON %I', verb, t);
      EXECUTE format(
        'CREATE TRIGGER rasd_trail_%s AFTER %s ON %I REFERENCING %s TABLE AS touched
         FOR EACH STATEMENT EXECUTE FUNCTION rasd_trail()',
        verb, verb, t, CASE verb WHEN 'delete' THEN 'OLD' ELSE 'NEW' END
      );
    END LOOP;
  END LOOP;
END $$;
