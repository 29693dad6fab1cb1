import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Proxy;
import java.lang.reflect.Type;
import java.nio.file.Paths;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.jute.OutputArchive;
import org.apache.jute.Record;

/**
 * Prints what Java's generated record classes write: a line a record, its fields in the order of the wire.
 *
 * <pre>DeleteRequest { ustring:path; int:version; }</pre>
 *
 * Nothing is read out of a description: every record is serialized, filled with non-null values, to an archive that only
 * notes the tags and types it is given. A field that is a record or a vector is descended into by Java itself; its inner
 * calls are left out.
 */
public final class RecordSchema {

    private RecordSchema() {
    }

    public static void main(String[] args) throws Exception {
        String jar = Paths.get(Record.class.getProtectionDomain().getCodeSource().getLocation().toURI()).toString();
        TreeMap<String, String> lines = new TreeMap<>();
        try (JarFile file = new JarFile(jar)) {
            for (JarEntry entry : (Iterable<JarEntry>) file.stream()::iterator) {
                String name = entry.getName();
                if (!name.endsWith(".class") || name.contains("$") || name.contains("/compiler/")) {
                    continue;
                }
                Class<?> type = Class.forName(name.substring(0, name.length() - 6).replace('/', '.'));
                if (Record.class.isAssignableFrom(type) && !type.isInterface()) {
                    lines.put(type.getName(), type.getSimpleName() + " { " + fields(type) + "}");
                }
            }
        }
        if (lines.isEmpty()) {
            throw new IllegalStateException("no records in " + jar);
        }
        lines.values().forEach(System.out::println);
    }

    private static String fields(Class<?> type) throws Exception {
        Notes notes = new Notes();
        OutputArchive archive = (OutputArchive) Proxy.newProxyInstance(
            RecordSchema.class.getClassLoader(), new Class<?>[] {OutputArchive.class}, notes);
        ((Record) filled(type)).serialize(archive, "");
        StringBuilder line = new StringBuilder();
        for (String field : notes.fields) {
            line.append(field).append("; ");
        }
        return line.toString();
    }

    /** An instance whose references are all set, vectors to one element. */
    private static Object filled(Class<?> type) throws Exception {
        Object record = type.getConstructor().newInstance();
        for (Method method : type.getMethods()) {
            if (method.getName().startsWith("set") && method.getParameterCount() == 1) {
                Object value = value(method.getGenericParameterTypes()[0]);
                if (value != null) {
                    method.invoke(record, value);
                }
            }
        }
        return record;
    }

    private static Object value(Type type) throws Exception {
        if (type == String.class) {
            return "";
        }
        if (type == byte[].class) {
            return new byte[0];
        }
        if (type instanceof ParameterizedType) {
            List<Object> list = new ArrayList<>();
            list.add(value(((ParameterizedType) type).getActualTypeArguments()[0]));
            return list;
        }
        if (type instanceof Class && Record.class.isAssignableFrom((Class<?>) type)) {
            return filled((Class<?>) type);
        }
        return null;
    }

    /** The archive: collects the calls of the outermost record. */
    private static final class Notes implements InvocationHandler {

        final List<String> fields = new ArrayList<>();
        /** The tags of the vectors that are open, and the type of an open vector's elements. */
        private final Deque<String> vectors = new ArrayDeque<>();
        private String element;
        private int records;

        @Override
        public Object invoke(Object proxy, Method method, Object[] args) throws IOException {
            String tag = (String) args[args.length - 1];
            switch (method.getName()) {
            case "startRecord":
                records++;
                break;
            case "endRecord":
                records--;
                break;
            case "writeRecord":
                field(args[0].getClass().getSimpleName(), tag);
                try {
                    records++;
                    ((Record) args[0]).serialize((OutputArchive) proxy, tag);
                } finally {
                    records--;
                }
                break;
            case "startVector":
                vectors.push(tag);
                element = null;
                break;
            case "endVector":
                vectors.pop();
                field("vector<" + element + ">", tag);
                break;
            case "writeString":
                field("ustring", tag);
                break;
            case "writeBuffer":
                field("buffer", tag);
                break;
            case "writeBool":
                field("boolean", tag);
                break;
            default:
                field(method.getName().substring("write".length()).toLowerCase(), tag);
            }
            return null;
        }

        private void field(String type, String tag) {
            if (!vectors.isEmpty()) {
                if (element == null) {
                    element = type;
                }
            } else if (records == 1) {
                fields.add(type + ":" + tag);
            }
        }
    }
}
